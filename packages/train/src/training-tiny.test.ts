/** golden/training-tiny: PyTorch's losses, gradients and weights, element by element. */
import { readFileSync } from "node:fs";
import { type Assembly, assemble } from "@waggle/mllm";
import { addLora, computedSource } from "@waggle/nn";
import { Runtime } from "@waggle/runtime";
import type { Tensor } from "onnxruntime-common";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { expectClose, float32, floats, integers, need, readTensors } from "../../../testing/tensors.ts";
import { conversationGraph, conversationObjective, microBatch } from "./conversation-objective.ts";
import type { MicroBatch } from "./objective.ts";
import { adamW } from "./optimizer.ts";
import { cosine } from "./schedule.ts";
import { type ParameterPattern, selectParameters } from "./select.ts";
import { Trainer, type TrainerOptions } from "./trainer.ts";

const golden = new URL("../../../golden/", import.meta.url);
const expected = JSON.parse(readFileSync(new URL("training-tiny/expected.json", golden), "utf8"));
let io: Readonly<Record<string, Tensor>>;
let model: Assembly;
const runtime = new Runtime({ worker: false });
afterAll(() => runtime.dispose());

beforeAll(async () => {
  io = await readTensors(new URL("training-tiny/io.safetensors", golden));
  model = await assemble(new URL("llava-tiny-hf", golden).pathname);
});

/** Rows of the case as a batch; the case stores picture positions as ids of the image token. */
function batch(rows: readonly number[]): MicroBatch {
  const picture = model.sight?.tokenId;
  const row = (name: string, index: number): number[] => integers(need(io, name)).slice(index * 48, (index + 1) * 48);
  const samples = rows.map((index) => {
    const length = row("input.attention_mask", index).reduce((a, b) => a + b, 0);
    const input_ids = row("input.input_ids", index).map((id) => (id === picture ? -200 : id));
    return { input_ids: input_ids.slice(0, length), labels: row("input.labels", index).slice(0, length) };
  });
  const pixels = need(io, "input.pixel_values");
  const shape = pixels.dims.slice(1);
  const size = shape.reduce((a, b) => a * b, 1);
  const tokens = model.sight?.tokensPerImage ?? 0;
  const pictures = rows.flatMap((index) => {
    const at = expected.samples.imageOf[index];
    if (at === null) return [];
    return [{ data: floats(pixels).subarray(at * size, (at + 1) * size), tiles: 1, rows: Array.from({ length: tokens }, (_, i) => i) }];
  });
  return microBatch(samples, pictures, { input: "pixel_values", shape, tokens });
}

function trainer(
  trainable: readonly ParameterPattern[],
  options: Pick<TrainerOptions, "optimizer" | "clip" | "average">,
): Promise<Trainer> {
  if (model.composition === null) throw new Error("llava-tiny-hf has pictures.");
  const module = model.composition.modules;
  const objective = conversationObjective(conversationGraph(model.language, model.composition, "pixel_values"));
  return Trainer.create({ runtime, module, objective, trainable: selectParameters(module, trainable, "test"), ...options });
}

/** The case spells keys as the checkpoint does. */
const published = (path: string): string => path;

describe("stage 1: only the projector learns", () => {
  test("losses, gradient norms, first gradients and final weights of 20 steps", async () => {
    using stage = await trainer(["projector"], { optimizer: adamW({ lr: 1e-3, weight_decay: 0 }) });
    const first = await stage.gradients([batch(expected.stage1.batches[0])]);
    for (const [path, gradient] of first.gradients)
      expectClose(gradient, need(io, `stage1.grad.${published(path)}`), { abs: expected.tolerance["stage1.grad"] });
    for (const [step, rows] of expected.stage1.batches.entries()) {
      const { loss, gradNorm } = await stage.step([batch(rows)]);
      expect(Math.abs(loss / expected.stage1.losses[step] - 1)).toBeLessThan(1e-5);
      expect(Math.abs(gradNorm / expected.stage1.gradNorms[step] - 1)).toBeLessThan(1e-4);
    }
    for (const [path, resident] of stage.parameters)
      expectClose(await resident.read(), need(io, `stage1.final.${published(path)}`), { abs: expected.tolerance["stage1.final"] });
  });
});

test("stage 2: LoRA and projector, cosine schedule, clipping, accumulation by means of micro-batches", async () => {
  const model = await assemble(new URL("llava-tiny-hf", golden).pathname);
  const module = model.composition?.modules;
  if (!module) throw new Error("llava-tiny-hf has pictures.");
  addLora(module, { target_modules: "language_model\\..*\\.(q_proj|v_proj)", r: 4, lora_alpha: 8, seed: 0 });
  const trainable = selectParameters(module, ["lora", "projector"], "test");
  for (const [path, parameter] of trainable) {
    const { data } = need(io, `stage2.init.${path}`);
    parameter.source = computedSource("float32", parameter.shape, `init ${path}`, async () => data as Float32Array);
  }
  const groups = [{ parameters: "lora", lr: 5e-3 }];
  const optimizer = adamW({ lr: 1e-3, weight_decay: 0.1, groups });
  const objective = conversationObjective(conversationGraph(model.language, model.composition, "pixel_values"));
  using stage = await Trainer.create({ runtime, module, objective, trainable, optimizer, clip: 1, average: "micro-batches" });
  const schedule = cosine({ warmup_ratio: 0.03 });
  const { batches, losses, microLosses, gradNorms } = expected.stage2;
  for (const [step, rows] of batches.entries()) {
    const micro = rows.map(batch);
    for (const [at, name] of [
      [0, "grad"],
      [batches.length - 1, "gradLastStep"],
    ] as const) {
      if (at !== step) continue;
      const { gradients } = await stage.gradients(micro);
      const tolerance = { abs: expected.tolerance[`stage2.${name}`] };
      for (const [path, gradient] of gradients) expectClose(gradient, need(io, `stage2.${name}.${path}`), tolerance);
    }
    const found = await stage.step(micro, schedule.factor(step, batches.length, 1e-3));
    expect(Math.abs(found.loss / losses[step] - 1)).toBeLessThan(1e-5);
    for (const [i, loss] of found.microLosses.entries()) expect(Math.abs(loss / microLosses[step][i] - 1)).toBeLessThan(1e-5);
    expect(Math.abs(found.gradNorm / gradNorms[step] - 1)).toBeLessThan(1e-4);
  }
  for (const [path, resident] of stage.parameters)
    expectClose(await resident.read(), need(io, `stage2.final.${path}`), { abs: expected.tolerance["stage2.final"] });
});

test("full fine-tuning: every parameter's gradient", async () => {
  using full = await trainer(["*"], { optimizer: adamW({ lr: 1e-3 }) });
  const { loss, gradients } = await full.gradients([batch(expected.full.batch)]);
  expect(Math.abs(loss / expected.full.loss - 1)).toBeLessThan(1e-5);
  const missing = Object.keys(io).filter((key) => key.startsWith("full.grad.") && !gradients.has(key.slice("full.grad.".length)));
  expect(missing).toEqual([]);
  for (const [path, gradient] of gradients)
    expectClose(gradient, need(io, `full.grad.${published(path)}`), { abs: expected.tolerance["full.grad"] });
  expect(float32([], [0]).dims).toEqual([0]);
});
