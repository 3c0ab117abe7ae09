/** Optimisers and schedules against PyTorch and transformers, step by step (reference/train/optimizers.py). */
import { readFileSync } from "node:fs";
import { constant, input, ops } from "@waggle/graph";
import { computedSource, LayerNorm, Linear, Module, Parameter, RMSNorm } from "@waggle/nn";
import { Runtime } from "@waggle/runtime";
import { Tensor } from "onnxruntime-common";
import { afterAll, describe, expect, test } from "vitest";
import { expectClose, float32 } from "../../../testing/tensors.ts";
import { adamW, type Optimizer, ratesOf, sgd } from "./optimizer.ts";
import { cosine, linear, linearWarmupCosine, type Schedule, constant as steady } from "./schedule.ts";
import { selectParameters } from "./select.ts";
import { Trainer } from "./trainer.ts";

const vectors = JSON.parse(readFileSync(new URL("./__vectors__/optimizers.json", import.meta.url), "utf8"));
const runtime = new Runtime({ worker: false });
afterAll(() => runtime.dispose());

interface Case {
  readonly options: { readonly lr: number };
  readonly clip: number | null;
  readonly weights: readonly (readonly number[])[];
  readonly norms: readonly number[];
}

class One extends Module {
  readonly weight = new Parameter([5, 3]);
}

/** A loss whose gradient by the weight is the one that is fed. */
async function run(optimizer: Optimizer, clip: number | null): Promise<{ weights: Float32Array[]; norms: number[] }> {
  const module = new One();
  module.weight.source = computedSource("float32", [5, 3], "start", async () => Float32Array.from(vectors.start));
  const gradient = input("gradient", "float32", [5, 3]);
  const objective = { inputs: { gradient }, loss: ops.reduceSum(ops.mul(module.weight, gradient)) };
  const trainable = selectParameters(module, ["weight"], "test");
  using trainer = await Trainer.create({ runtime, module, trainable, objective, optimizer, ...(clip !== null && { clip }) });
  const [weights, norms]: [Float32Array[], number[]] = [[], []];
  for (const values of vectors.gradients) {
    const feeds = { gradient: new Tensor("float32", Float32Array.from(values), [5, 3]) };
    norms.push((await trainer.step([{ feeds, targets: 1, tokens: 1 }])).gradNorm);
    weights.push((await trainer.parameters.get("weight")?.read())?.data as Float32Array);
  }
  return { weights, norms };
}

describe.each([
  ["adamW", adamW],
  ["sgd", sgd],
] as const)("%s", (name, make) => {
  test.each<[number, Case]>(vectors[name].map((each: Case, i: number) => [i, each]))(
    "case %i",
    async (_, { options, clip, weights, norms }) => {
      const found = await run(make(options), clip);
      for (const [step, row] of weights.entries())
        expectClose(float32(found.weights[step] ?? [], [15]), float32(row, [15]), { abs: 2e-6, rel: 2e-6 });
      for (const [step, norm] of norms.entries()) expect(found.norms[step]).toBeCloseTo(norm, 4);
    },
  );
});

test.each<[string, Schedule, number]>([
  ["constant", steady({ warmup_steps: 4 }), 20],
  ["linear", linear({ warmup_steps: 3 }), 20],
  ["linear_short", linear({ warmup_ratio: 0.2 }), 12],
  ["cosine", cosine({ warmup_ratio: 0.03 }), 20],
  ["cosine_no_warmup", cosine(), 20],
])("schedule %s", (name, schedule, steps) => {
  for (const [step, rate] of vectors.schedules[name].entries()) expect(schedule.factor(step, steps, 1)).toBeCloseTo(rate, 7);
});

test("Honeybee's floor: warm-up and cosine between min_lr and lr", () => {
  const schedule = cosine({ warmup_steps: 2, min_lr: 1e-5 });
  const rates = [0, 1, 2, 6, 10].map((step) => 1e-4 * schedule.factor(step, 10, 1e-4));
  for (const [i, rate] of [1e-5, 5.5e-5, 1e-4, 5.5e-5, 1e-5].entries()) expect(rates[i]).toBeCloseTo(rate, 10);
});

/** golden/data-minigpt4, `schedule`: points [total step, epoch, step in epoch, rate] of the official class. */
test.each([
  [
    { warmup_start_lr: 1e-6, min_lr: 8e-5, warmup_steps: 5000, steps_per_epoch: 5000 },
    1e-4,
    20_000,
    [
      [50, 1.99e-6],
      [4999, 9.99802e-5],
      [5000, 9.707106781186548e-5],
      [19_999, 8.000000012337006e-5],
    ],
  ],
  [
    { warmup_start_lr: 0, min_lr: 0.1, warmup_steps: 7, steps_per_epoch: 5 },
    1,
    10,
    [
      [4, 0.5714285714285714],
      [5, 0],
      [6, 0.14285714285714285],
      [7, 0.2854966364683872],
      [9, 0.12202456766718092],
    ],
  ],
] as const)("MiniGPT-4's schedule jumps where the official one does", (options, lr, steps, points) => {
  const schedule = linearWarmupCosine(options);
  for (const [step, rate] of points) expect(lr * schedule.factor(step, steps, lr)).toBeCloseTo(rate, 12);
});

test("MiniGPT-4's schedule refuses numbers that make none", () => {
  const wrong = { warmup_start_lr: Number.NaN, min_lr: -1, warmup_steps: 0.5, steps_per_epoch: 0 };
  expect(() => linearWarmupCosine(wrong)).toThrow(
    /warmup_start_lr: expected a finite.*NaN[\s\S]*min_lr: [\s\S]*warmup_steps: expected a whole[\s\S]*steps_per_epoch: .*≥ 1, got 0/,
  );
});

class Block extends Module {
  readonly projection = new Linear(2, 2);
  readonly norm = new LayerNorm(2);
  readonly rms = new RMSNorm(2);
}

describe("groups", () => {
  const block = new Block();
  const all = selectParameters(block, ["*"], "test");

  test("norms and biases do not decay, unless asked for", () => {
    const decays = (optimizer: Optimizer): unknown =>
      Object.fromEntries([...all.keys()].map((path, i) => [path, ratesOf(optimizer, block, all)[i]?.weight_decay]));
    expect(decays(adamW({ lr: 1, weight_decay: 0.1 }))).toEqual({
      "projection.weight": 0.1,
      "projection.bias": 0,
      "norm.weight": 0,
      "norm.bias": 0,
      "rms.weight": 0,
    });
    expect(Object.values(decays(adamW({ lr: 1, weight_decay: 0.1, decayNormsAndBiases: true })) as object)).toEqual([
      0.1, 0.1, 0.1, 0.1, 0.1,
    ]);
  });

  test("the first group that names a parameter counts; one that names none is an error", () => {
    const optimizer = adamW({
      lr: 1,
      groups: [
        { parameters: "norm", lr: 0.5 },
        { parameters: ["norm", /bias$/], lr: 0.25, weight_decay: 0.3 },
      ],
    });
    expect(ratesOf(optimizer, block, all)).toEqual([
      { lr: 1, weight_decay: 0.01 },
      { lr: 0.25, weight_decay: 0.3 },
      { lr: 0.5, weight_decay: 0 },
      { lr: 0.5, weight_decay: 0 },
      { lr: 1, weight_decay: 0 },
    ]);
    expect(() => ratesOf(adamW({ lr: 1, groups: [{ parameters: "nrom" }] }), block, all)).toThrow(
      "nrom names none of the 5 trainable parameters",
    );
  });

  test("every wrong number is named at once", () => {
    expect(() => adamW({ lr: Number.NaN, eps: -1, betas: [0.9, 1] })).toThrow(/lr[\s\S]*betas\[1\][\s\S]*eps/);
    expect(() => adamW({ lr: 1, momentum: 0.9 } as never)).toThrow("momentum");
    expect(() => sgd({ lr: 1, nesterov: true })).toThrow("momentum above 0");
    expect(() => cosine({ warmup_steps: 1, warmup_ratio: 0.1 })).toThrow("got both");
  });
});

test("a gradient that is not finite stops the step, and nothing has changed", async () => {
  const module = new One();
  module.weight.source = computedSource("float32", [5, 3], "ones", async () => new Float32Array(15).fill(1));
  const x = input("x", "float32", []);
  const objective = { inputs: { x }, loss: ops.mul(ops.reduceSum(module.weight), ops.div(constant(1), x)) };
  using trainer = await Trainer.create({
    runtime,
    module,
    trainable: selectParameters(module, ["*"], "test"),
    objective,
    optimizer: adamW({ lr: 1 }),
  });
  const batch = (value: number) => [{ feeds: { x: new Tensor("float32", Float32Array.of(value), []) }, targets: 1, tokens: 1 }];
  await expect(trainer.step(batch(0))).rejects.toThrow(/step 1: loss Infinity; the gradient of weight holds NaN or infinity/);
  expect((await trainer.parameters.get("weight")?.read())?.data).toEqual(new Float32Array(15).fill(1));
  expect(trainer.steps).toBe(0);
  await expect(trainer.step([{ ...batch(1)[0], targets: 0 } as never])).rejects.toThrow("everything is masked");
});

test.each<[number[], string]>([
  [[0.9], "betas[1]: expected a number in [0, 1), got undefined."],
  [[0.9, 0.99, 0.999], "betas: expected two numbers, got 3."],
])("betas %j are refused before a step makes NaN of them", (betas, message) => {
  expect(() => adamW({ lr: 1, betas: betas as unknown as [number, number] })).toThrow(message);
});
