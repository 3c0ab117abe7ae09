/** What was trained over each family is loaded again, and answers as the trained model does. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openCheckpoint } from "@waggle/checkpoint";
import type { Dataset } from "@waggle/data";
import { decodeImage, type ImageInput } from "@waggle/image";
import { type Assembly, assemble, convert, image, load, type MultimodalModel, start } from "@waggle/mllm";
import { Runtime } from "@waggle/runtime";
import { Tensor } from "onnxruntime-common";
import { afterAll, beforeAll, expect, test } from "vitest";
import { compileConverted } from "../../../testing/multimodal.ts";
import { expectClose } from "../../../testing/tensors.ts";
import { adamW } from "./optimizer.ts";
import type { ParameterPattern } from "./select.ts";
import { type StageOptions, stage } from "./stage.ts";
import { train } from "./train.ts";

const golden = (name: string): string => new URL(`../../../golden/${name}`, import.meta.url).pathname;
const runtime = new Runtime({ threads: 1 });
afterAll(() => runtime.dispose());
let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "waggle-trained-"));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

const lora: StageOptions["lora"] = { target_modules: "language_model.*[qv]_proj", r: 2, lora_alpha: 8 };
const seeing: StageOptions["lora"] = { target_modules: ".*vision_tower.*(q_proj|v_proj|qkv)", r: 2, lora_alpha: 8 };
const cases: readonly [folder: string, picture: string, trainable: readonly ParameterPattern[]][] = [
  ["minigpt4-tiny", "picture_a.png", ["multi_modal_projector.llama_proj"]],
  ["blip2-opt-tiny", "picture_a.png", ["multi_modal_projector.llama_proj"]],
  ["honeybee-tiny-c-abs", "picture-a.png", ["projector"]],
  ["llava-tiny-original", "scene.png", ["projector"]],
];

const looking = (name: string, picture: ImageInput): Dataset => ({
  name,
  length: 2,
  sample: (index) => ({
    ...{ id: `${index}`, images: [picture] },
    conversations: [
      { from: "human", value: "<image>\nWhat is it?" },
      { from: "gpt", value: index === 0 ? "a red house" : "a red tree" },
    ],
  }),
});

/** What the language model gets of the picture, [M, D]. */
async function featuresOf({ composition, sight }: Assembly, picture: ImageInput): Promise<Tensor | undefined> {
  if (!composition || !sight) throw new Error("expected a model that sees");
  const { pixel_values, shape } = await sight.processor.process([await decodeImage(picture)]);
  const see = await compileConverted(runtime, composition.visionGraph(), scratch);
  return (await see({ pixel_values: new Tensor("float32", pixel_values, shape) })).features;
}

const encoders: readonly [folder: string, what: string, picture: string, learns: Pick<StageOptions, "trainable" | "lora">][] = [
  ["llava-tiny-hf", "LoRA pairs", "scene.png", { trainable: [], lora: seeing }],
  ["llava-tiny-original", "LoRA pairs", "scene.png", { trainable: [], lora: seeing }], // its encoder's weights are in another folder
  ["llava-tiny-original", "a layer", "scene.png", { trainable: ["vision_tower.*.layers.0"] }],
  ["honeybee-tiny-c-abs", "LoRA pairs", "picture-a.png", { trainable: [], lora: seeing }],
  ["minigpt4-tiny", "LoRA pairs", "picture_a.png", { trainable: [], lora: seeing }],
  ["blip2-opt-tiny", "LoRA pairs", "picture_a.png", { trainable: [], lora: seeing }],
  ["blip2-opt-tiny", "all", "picture_a.png", { trainable: ["vision"] }], // q_bias and v_bias are parts of one tensor of its file
];
test.each(encoders)("%s: %s learnt in the vision encoder", { timeout: 120_000 }, async (name, what, file, learns) => {
  const picture = image(join(golden(name), file));
  const model = await assemble(golden(name));
  const before = await featuresOf(model, picture);
  const optimizer = adamW({ lr: 0.05 });
  const learn = stage({ name: "look", ...learns, data: looking(name, picture), steps: 3, batchSize: 2, optimizer });
  const { trained } = await train({ model, stages: [learn], out: join(scratch, `${name}-sees ${what}`) });
  const wanted = await featuresOf(model, picture);
  expect(() => expectClose(wanted, before, { abs: 1e-3, rel: 1e-3 })).toThrow(); // it learnt something
  expectClose(await featuresOf(await assemble(trained), picture), wanted, { abs: 1e-4, rel: 1e-4 });
  await convert(trained, join(scratch, `${name}-seen ${what}`));
  if (name === "blip2-opt-tiny") {
    const [{ tensors }, published] = await Promise.all([
      openCheckpoint(join(scratch, `${name}-seen ${what}`)),
      openCheckpoint(golden(name)),
    ]);
    expect([...tensors.keys()].sort()).toEqual([...published.tensors.keys()].sort()); // q_bias and v_bias are back in their tensor
  }
  expectClose(await featuresOf(await assemble(join(scratch, `${name}-seen ${what}`)), picture), wanted, { abs: 1e-4, rel: 1e-4 });
});

test.each(cases)("%s", { timeout: 120_000 }, async (name, file, trainable) => {
  const picture = image(join(golden(name), file));
  const data = looking(name, picture);
  const model = await assemble(golden(name));
  const learn = stage({ name: "learn", trainable, lora, data, steps: 4, batchSize: 2, optimizer: adamW({ lr: 0.02 }) });
  const { trained } = await train({ model, stages: [learn], out: join(scratch, name) });
  const answer = async (running: MultimodalModel): Promise<string> => {
    const { text } = await running.generate([{ role: "user", content: [picture, "What is it?"] }], { max_new_tokens: 8 });
    running.dispose();
    return text;
  };
  const wanted = await answer(await start(model));
  expect(wanted).not.toBe(await answer(await load(golden(name))));
  expect(await answer(await load(trained))).toBe(wanted);
  await convert(trained, join(scratch, `${name}-merged`));
  expect(await answer(await load(join(scratch, `${name}-merged`)))).toBe(wanted);
});
