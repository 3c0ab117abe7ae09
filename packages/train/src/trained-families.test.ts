/** What was trained over each family is loaded again, and answers as the trained model does. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Dataset } from "@waggle/data";
import { assemble, convert, image, load, type MultimodalModel, start } from "@waggle/mllm";
import { afterAll, beforeAll, expect, test } from "vitest";
import { adamW } from "./optimizer.ts";
import type { ParameterPattern } from "./select.ts";
import { type StageOptions, stage } from "./stage.ts";
import { train } from "./train.ts";

const golden = (name: string): string => new URL(`../../../golden/${name}`, import.meta.url).pathname;
let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "waggle-trained-"));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

const lora: StageOptions["lora"] = { target_modules: "language_model.*[qv]_proj", r: 2, lora_alpha: 8 };
const cases: readonly [folder: string, picture: string, trainable: readonly ParameterPattern[]][] = [
  ["minigpt4-tiny", "picture_a.png", ["multi_modal_projector.llama_proj"]],
  ["blip2-opt-tiny", "picture_a.png", ["multi_modal_projector.llama_proj"]],
  ["honeybee-tiny-c-abs", "picture-a.png", ["projector"]],
  ["llava-tiny-original", "scene.png", ["projector"]],
];

test.each(cases)("%s", { timeout: 120_000 }, async (name, file, trainable) => {
  const picture = image(join(golden(name), file));
  const data: Dataset = {
    name,
    length: 2,
    sample: (index) => ({
      ...{ id: `${index}`, images: [picture] },
      conversations: [
        { from: "human", value: "<image>\nWhat is it?" },
        { from: "gpt", value: index === 0 ? "a red house" : "a red tree" },
      ],
    }),
  };
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
