/** Losses and gradients of the originals' own training code: Honeybee's pre-training, both stages of MiniGPT-4. */
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Dataset, IMAGE, miniGpt4Encoder, type Sample } from "@waggle/data";
import { image } from "@waggle/image";
import { type Assembly, assemble } from "@waggle/mllm";
import { Runtime } from "@waggle/runtime";
import type { Tensor } from "onnxruntime-common";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { expectClose, need, readTensors } from "../../../testing/tensors.ts";
import { conversations } from "./conversation-task.ts";
import { adamW } from "./optimizer.ts";
import { defaultEncoder } from "./sample-encoder.ts";
import { type ParameterPattern, selectParameters } from "./select.ts";
import type { Task } from "./task.ts";
import { Trainer } from "./trainer.ts";
import { trainingModules } from "./training-modules.ts";

const golden = (path: string): URL => new URL(`../../../golden/${path}`, import.meta.url);
const runtime = new Runtime({ worker: false });
afterAll(() => runtime.dispose());

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "waggle-families-"));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

/** Loss and gradients of the first batch of samples. */
async function gradients(model: Assembly, pattern: ParameterPattern, task: Task) {
  const modules = trainingModules(model);
  const trainable = selectParameters(modules, [pattern], "test");
  const open = await task.open({ model, modules, trainable, runtime, featureCache: scratch, signal: undefined });
  using trainer = await Trainer.create({ runtime, module: modules, trainable, objective: open.objective, optimizer: adamW({ lr: 1 }) });
  const request = { batchSize: task.length, seed: 0, order: "sequential", onBroken: "stop", start: { epoch: 0, position: 0 } } as const;
  try {
    for await (const { micro } of open.batches(request)) return { micro, ...(await trainer.gradients([micro])) };
    throw new Error("no batch");
  } finally {
    open.dispose();
  }
}

function expectGradients(found: ReadonlyMap<string, Tensor>, io: Readonly<Record<string, Tensor>>, prefix: string, abs: number): void {
  const paths = [...found.keys()].map((path) => path.replace("multi_modal_projector.", ""));
  expect(paths.sort()).toEqual(
    Object.keys(io)
      .filter((key) => key.startsWith(prefix))
      .map((key) => key.slice(prefix.length))
      .sort(),
  );
  for (const [path, gradient] of found)
    expectClose(gradient, need(io, `${prefix}${path.replace("multi_modal_projector.", "")}`), { abs, rel: 1e-3 });
}

describe.each([
  ["stage1", { end_sym: "\n", max_txt_len: 32 }],
  ["stage2", null],
] as const)("MiniGPT-4, %s", (stage, encoder) => {
  test("loss and gradients of the linear layer", async () => {
    const io = await readTensors(golden("minigpt4-tiny/io.safetensors"), `grad.${stage}.`);
    const { pictures, captions, loss } = JSON.parse(readFileSync(golden("minigpt4-tiny/expected.json"), "utf8")).runs[`train_${stage}`];
    const model = await assemble(golden("minigpt4-tiny").pathname);
    const data: Dataset = {
      name: stage,
      length: 2,
      sample: (index) => ({
        id: captions[index],
        images: [image(golden(`minigpt4-tiny/${pictures[index]}`).pathname)],
        conversations: [
          { from: "human", value: "<image> Describe this image in detail." },
          { from: "gpt", value: captions[index] },
        ],
      }),
    };
    const task = conversations(data, encoder === null ? {} : { encoder: miniGpt4Encoder({ tokenizer: model.tokenizer, ...encoder }) });
    const found = await gradients(model, "multi_modal_projector.llama_proj", task);
    expect(found.loss / loss).toBeCloseTo(1, 5);
    expectGradients(found.gradients, Object.fromEntries(Object.entries(io).map(([key, value]) => [`grad.${key}`, value])), "grad.", 1e-5);
  });
});

test("a first turn of the assistant's is left out, as LLaVA does with its own data", async () => {
  const encoder = defaultEncoder(await assemble(golden("llava-tiny-hf").pathname));
  const asked = [
    { from: "human", value: "What is it?" },
    { from: "gpt", value: "A bee." },
  ] as const;
  const encoded = (conversation: Sample["conversations"]) => encoder.encode({ id: "", images: [], conversations: conversation }, []);
  expect(encoded([{ from: "gpt", value: "Hello." }, ...asked])).toEqual(encoded(asked));
});

test.each(["honeybee-tiny-c-abs", "honeybee-tiny-d-abs"])("%s: ids, labels, loss and every gradient of the projector", async (name) => {
  const io = await readTensors(golden(`${name}/io.safetensors`), "grad.train.");
  const { runs, tolerance } = JSON.parse(readFileSync(golden(`${name}/expected.json`), "utf8"));
  const { picture, input_ids, labels, loss } = runs.train;
  const model = await assemble(golden(name).pathname);
  const conversation = [
    { from: "human", value: "<image>\nWhat is in the image?" },
    { from: "gpt", value: "A bee on a flower." },
    { from: "human", value: "Describe the first one." },
    { from: "gpt", value: "It is yellow and black." },
  ] as const;
  const images = [image(golden(`${name}/${picture}`).pathname)];
  const data: Dataset = { name, length: 1, sample: () => ({ id: name, images, conversations: conversation }) };
  const encoded = defaultEncoder(model).encode(await data.sample(0), [model.sight?.tokensPerImage ?? 0]);
  expect(encoded.input_ids.map((id) => (id === IMAGE ? -1 : id))).toEqual(input_ids[0]);
  expect(encoded.labels).toEqual(labels[0]);
  const found = await gradients(model, "projector", conversations(data));
  expect(Math.abs(found.loss - loss)).toBeLessThan(tolerance.loss_abs);
  expectGradients(
    found.gradients,
    Object.fromEntries(Object.entries(io).map(([key, value]) => [`grad.${key}`, value])),
    "grad.abstractor.",
    tolerance.grad_abs,
  );
});
