import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { expect, test } from "vitest";
import { constant, describeOps, grad, input, lower, ops, serialize, symbol, type Target, type Value } from "./index.ts";

interface Packed {
  readonly shape: readonly number[];
  readonly data: readonly number[];
}
/** Inputs, outputs and gradients that PyTorch computed: reference/graph_ops.py. */
const { cases } = JSON.parse(readFileSync(new URL("./__vectors__/ops.json", import.meta.url), "utf8")) as {
  cases: Record<string, { inputs: Packed[]; output: Packed; weight: Packed; gradients: (Packed | null)[] }>;
};

const int64 = (values: readonly number[], shape: readonly number[]): Value => constant(values.map(BigInt), { shape });
const written: Record<string, (...x: Value[]) => Value> = {
  ...Object.fromEntries(
    (
      [
        "neg",
        "abs",
        "exp",
        "sin",
        "cos",
        "tanh",
        "sigmoid",
        "erf",
        "relu",
        "floor",
        "ceil",
        "round",
        "sign",
        "log",
        "sqrt",
        "reciprocal",
      ] as const
    ).map((op) => [op, (x: Value) => ops[op](x)]),
  ),
  ...Object.fromEntries(
    (["add", "sub", "mul", "div", "minimum", "maximum"] as const).map((op) => [op, (a: Value, b: Value) => ops[op](a, b)]),
  ),
  pow: (x) => ops.pow(x, 3),
  clip: (x) => ops.clip(x, { min: -0.5, max: 0.7 }),
  where: (a, b) => ops.where(ops.greater(a, 0), a, b),
  matmul: (a, b) => ops.matmul(a, b),
  matmulBatch: (a, b) => ops.matmul(a, b),
  matmulTurned: (a, b) => ops.matmul(a, b, { transA: true, transB: true, alpha: 0.5 }),
  reshape: (x) => ops.reshape(x, [2, -1, 6]),
  transpose: (x) => ops.transpose(x, [2, 0, 1]),
  expand: (x) => ops.expand(x, [2, 3, 4]),
  concat: (a, b) => ops.concat([a, b], 1),
  split: (x) => ops.split(x, [1, 3], 1)[1] ?? x,
  slice: (x) => ops.slice(x, { axis: 1, start: 1, end: 6, step: 2 }),
  sliceTail: (x) => ops.slice(x, { axis: 1, start: -2 }),
  pad: (x) =>
    ops.pad(
      x,
      [
        [0, 3],
        [1, 2],
      ],
      0.5,
    ),
  gather: (x) => ops.gather(x, int64([2, 0, 2], [3]), 1),
  gatherElements: (x) => ops.gatherElements(x, int64([0, 2, 1, 1], [2, 2]), 1),
  scatterElements: (x, u) => ops.scatterElements(x, int64([0, 2, 1, 0], [2, 2]), u, 1),
  scatterRows: (x, u) => ops.scatterRows(x, int64([3, 0], [2]), u as Value),
  scatterRowsAdd: (x, u) => ops.scatterRows(x, int64([1, 3, 1], [3]), u as Value, { add: true }),
  gatherRows: (x) => ops.gather(x, int64([2, 0, 2, 1], [2, 2])),
  crossEntropy: (x) => ops.crossEntropy(x, int64([2, 0, 4], [3])),
  rmsNormRow: (x, w) => ops.rmsNorm(x, w as Value, { epsilon: 1e-5 }),
  attentionGroupedMasked: (q, k, v, mask) => ops.attention(q, k as Value, v as Value, { mask: mask as Value }),
  rotaryEmbeddingBatch: (x, cos, sin) => ops.rotaryEmbedding(x, cos as Value, sin as Value),
  reduceSum: (x) => ops.reduceSum(x, { axes: [0, 2] }),
  reduceMean: (x) => ops.reduceMean(x, { axes: [1], keepDims: true }),
  reduceMax: (x) => ops.reduceMax(x, { axes: [-1] }),
  reduceMin: (x) => ops.reduceMin(x, { axes: [0] }),
  softmax: (x) => ops.softmax(x, 1),
  logSoftmax: (x) => ops.logSoftmax(x),
  cumsum: (x) => ops.cumsum(x, 1),
  topK: (x) => ops.topK(x, 2, 1).values,
  conv: (x, w, b) => ops.conv(x, w as Value, b, { strides: [2, 2], pads: [1, 1, 1, 1] }),
  convDepthwise: (x, w) => ops.conv(x, w as Value, null, { pads: [1, 1, 1, 1], groups: 4 }),
  averagePool: (x) => ops.averagePool(x, { kernel: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] }),
  maxPool: (x) => ops.maxPool(x, { kernel: [2, 2] }),
  gridSample: (x, grid) => ops.gridSample(x, grid as Value),
  convStrided: (x, w, b) => ops.conv(x, w as Value, b, { strides: [2, 3], pads: [2, 1, 2, 1], dilations: [1, 2], groups: 2 }),
  convWide: (x, w) => ops.conv(x, w as Value, null, { pads: [1, 3, 4, 0], dilations: [2, 1] }),
  convPoint: (x, w, b) => ops.conv(x, w as Value, b),
  convPatches: (x, w, b) => ops.conv(x, w as Value, b, { strides: [3, 3] }),
  convPointStrided: (x, w) => ops.conv(x, w as Value, null, { strides: [2, 2] }),
  convDepthwiseStrided: (x, w, b) => ops.conv(x, w as Value, b, { strides: [2, 2], pads: [1, 1, 1, 1], dilations: [2, 2], groups: 3 }),
  convDepthwiseTwice: (x, w) => ops.conv(x, w as Value, null, { pads: [2, 2, 2, 2], groups: 3 }),
  convBlocks: (x, w, b) => {
    const y = ops.conv(ops.transpose(x, [0, 3, 1, 2]), w as Value, b, { pads: [1, 1, 1, 1], groups: 32 });
    return ops.transpose(y, [0, 2, 3, 1]);
  },
  convBlocksWide: (x, w) => ops.conv(x, w as Value, null, { pads: [0, 2, 3, 0], groups: 16 }),
  convBlocksStrided: (x, w) => ops.conv(x, w as Value, null, { strides: [2, 1], pads: [1, 0, 1, 0], dilations: [1, 2], groups: 16 }),
  averagePoolOverlapping: (x) => ops.averagePool(x, { kernel: [3, 2], strides: [1, 2], pads: [1, 0, 1, 0] }),
  maxPoolOverlapping: (x) => ops.maxPool(x, { kernel: [3, 2], strides: [2, 1], pads: [1, 0, 1, 0] }),
  maxPoolTies: (x) => ops.maxPool(ops.relu(x), { kernel: [3, 3], strides: [2, 2] }),
  gridSampleOutside: (x, grid) => ops.gridSample(x, grid as Value),
  gridSampleOnPixels: (x, grid) => ops.gridSample(x, grid as Value),
  resizeLinearDown: (x) => ops.resize(x, [2, 3]),
  resizeLinearAligned: (x) => ops.resize(x, [5, 2], { alignCorners: true }),
  resizeCubicAligned: (x) => ops.resize(x, [3, 9], { mode: "cubic", alignCorners: true }),
  resizeCubicOdd: (x) => ops.resize(x, [7, 3], { mode: "cubic" }),
  resizeNearestOdd: (x) => ops.resize(x, [5, 7], { mode: "nearest" }),
  resizeLinear: (x) => ops.resize(x, [5, 7]),
  resizeCubic: (x) => ops.resize(x, [5, 3], { mode: "cubic" }),
  resizeNearest: (x) => ops.resize(x, [6, 3], { mode: "nearest" }),
  linear: (x, w, b) => ops.linear(x, w as Value, b),
  embedding: (table) => ops.embedding(int64([1, 0, 2, 1], [2, 2]), table),
  layerNorm: (x, w, b) => ops.layerNorm(x, w as Value, b as Value, { epsilon: 1e-5 }),
  rmsNorm: (x, w) => ops.rmsNorm(x, w as Value, { epsilon: 1e-5 }),
  gelu: ops.gelu,
  geluTanh: ops.geluTanh,
  quickGelu: ops.quickGelu,
  silu: ops.silu,
  rotaryEmbedding: (x, cos, sin) => ops.rotaryEmbedding(x, cos as Value, sin as Value),
  attention: (q, k, v) => ops.attention(q, k as Value, v as Value),
  attentionGrouped: (q, k, v) => ops.attention(q, k as Value, v as Value, { causal: true }),
  attentionMasked: (q, k, v, mask) => ops.attention(q, k as Value, v as Value, { scale: 0.3, mask: mask as Value }),
  adaptiveAveragePool2d: (x) => ops.adaptiveAveragePool2d(x, [3, 4]),
  adaptiveUp: (x) => ops.adaptiveAveragePool2d(x, [5, 5]),
};

const targets = ["onnxruntime", "portable"] as const;
const every = Object.entries(cases).flatMap(([name, golden]) => targets.map((target) => ({ name, target, golden })));
type Case = (typeof every)[number];

async function run(
  target: Target,
  feeds: Readonly<Record<string, Packed>>,
  outputs: Readonly<Record<string, Value>>,
  inputs: readonly Value[],
) {
  const named = Object.fromEntries(Object.keys(feeds).map((name, i) => [name, inputs[i] ?? expect.unreachable(name)]));
  const bytes = serialize(lower({ name: "case", inputs: named, outputs }, target), () => new Uint8Array());
  const session = await InferenceSession.create(bytes);
  const tensors = Object.entries(feeds).map(([name, { shape, data }]) => [name, new Tensor("float32", Float32Array.from(data), shape)]);
  return { bytes, result: (await session.run(Object.fromEntries(tensors))) as Record<string, Tensor> };
}

function expectClose(what: string, result: Tensor | undefined, golden: Packed, relative: number): void {
  expect(result?.dims, what).toEqual(golden.shape);
  for (const [i, value] of ((result?.data ?? []) as Float32Array).entries()) {
    const wanted = golden.data[i] ?? Number.NaN;
    expect(Math.abs(value - wanted), `${what}[${i}]: ${value} instead of ${wanted}`).toBeLessThanOrEqual(
      1e-5 + relative * Math.abs(wanted),
    );
  }
}

test.each(every)("$name on $target equals PyTorch", async ({ name, target, golden }: Case) => {
  const values = golden.inputs.map(({ shape }, i) => input(`x${i}`, "float32", shape));
  const y = written[name]?.(...values) ?? expect.unreachable(`${name} is not written`);
  expect(y.shape).toEqual(golden.output.shape);
  const feeds = Object.fromEntries(golden.inputs.map((packed, i) => [`x${i}`, packed]));
  const { bytes, result } = await run(target, feeds, { y }, values);
  expectClose(name, result.y, golden.output, 1e-5);
  // For reference/check_onnx.py.
  if (target === "portable" && process.env.ONNX_FOLDER !== undefined) await writeFile(join(process.env.ONNX_FOLDER, `${name}.onnx`), bytes);
});

test.each(every)("the gradients of $name on $target equal PyTorch's", async ({ name, target, golden }: Case) => {
  const values = golden.inputs.map(({ shape }, i) => input(`x${i}`, "float32", shape));
  const y = written[name]?.(...values) ?? expect.unreachable(`${name} is not written`);
  const loss = ops.reduceSum(ops.mul(y, constant(Float32Array.from(golden.weight.data), { shape: golden.weight.shape })));
  const outputs = Object.fromEntries(grad(loss, values).map((value, i) => [`d${i}`, value]));
  const feeds = Object.fromEntries(golden.inputs.map((packed, i) => [`x${i}`, packed]));
  const { result } = await run(target, feeds, outputs, values);
  for (const [i, gradient] of golden.gradients.entries()) {
    const zero = { shape: golden.inputs[i]?.shape ?? [], data: (golden.inputs[i]?.data ?? []).map(() => 0) };
    expectClose(`d ${name} / d x${i}`, result[`d${i}`], gradient ?? zero, 1e-4);
  }
});

test("rows that meet at one index are all added, on two threads too", async () => {
  const [R, D] = [6400, 192];
  const rows = input("rows", "float32", [R, D]);
  const places = constant(BigInt64Array.from({ length: R }, (_, i) => BigInt(i % 7)));
  const sums = ops.scatterRows(constant(new Float32Array(7 * D), { shape: [7, D] }), places, rows, { add: true });
  const bytes = serialize(lower({ inputs: { rows }, outputs: { sums } }, "onnxruntime"), () => new Uint8Array());
  const session = await InferenceSession.create(bytes, { intraOpNumThreads: 2 });
  const data = Float32Array.from({ length: R * D }, (_, i) => (i % 17) - 8); // whole numbers: the sums are exact
  const wanted = new Float32Array(7 * D);
  for (const [i, value] of data.entries())
    wanted[(Math.floor(i / D) % 7) * D + (i % D)] = (wanted[(Math.floor(i / D) % 7) * D + (i % D)] ?? 0) + value;
  for (let run = 0; run < 5; run += 1)
    expect((await session.run({ rows: new Tensor("float32", data, [R, D]) })).sums?.data).toEqual(wanted);
});

test("comparisons, logic and sizes follow JavaScript's", async () => {
  const [a, b] = [input("a", "float32", [4]), input("b", "float32", [4])];
  const both = { a: [1, 2, Number.NaN, -1], b: [1, 3, 0, -2] };
  const logic: Record<string, readonly [Value, (x: number, y: number) => boolean]> = {
    equal: [ops.equal(a, b), (x, y) => x === y],
    less: [ops.less(a, b), (x, y) => x < y],
    lessOrEqual: [ops.lessOrEqual(a, b), (x, y) => x <= y],
    greater: [ops.greater(a, b), (x, y) => x > y],
    greaterOrEqual: [ops.greaterOrEqual(a, b), (x, y) => x >= y],
    and: [ops.and(ops.greater(a, 0), ops.greater(b, 0)), (x, y) => x > 0 && y > 0],
    or: [ops.or(ops.greater(a, 0), ops.greater(b, 0)), (x, y) => x > 0 || y > 0],
    not: [ops.not(ops.equal(a, b)), (x, y) => x !== y],
    isNaN: [ops.isNaN(a), (x) => Number.isNaN(x)],
  };
  const S = symbol("S");
  const open = input("open", "float32", [S, 3]);
  const outputs = {
    ...Object.fromEntries(Object.entries(logic).map(([name, [value]]) => [name, value])),
    size: ops.sizeOf(open, 0),
    best: ops.argMax(open, 1),
  };
  const session = await InferenceSession.create(serialize(lower({ inputs: { a, b, open }, outputs }, "portable"), () => new Uint8Array()));
  const feeds = {
    a: new Tensor("float32", both.a, [4]),
    b: new Tensor("float32", both.b, [4]),
    open: new Tensor("float32", [1, 5, 2, 9, 0, 3], [2, 3]),
  };
  const result = await session.run(feeds);
  for (const [name, [, truth]] of Object.entries(logic)) {
    expect(Array.from((result[name]?.data ?? []) as Uint8Array, Boolean), name).toEqual(both.a.map((x, i) => truth(x, both.b[i] ?? 0)));
  }
  expect(result.size?.data).toEqual(BigInt64Array.of(2n));
  expect(result.best?.data).toEqual(BigInt64Array.of(1n, 0n));
});

test("every operator of the table is checked above", () => {
  const used = new Set<string>();
  const visit = (value: Value): void => {
    if (value.node === null) return;
    used.add(value.node.op);
    value.node.inputs.forEach(visit);
  };
  for (const [name, golden] of Object.entries(cases)) {
    const y = written[name]?.(...golden.inputs.map(({ shape }, i) => input(`x${i}`, "float32", shape)));
    if (y !== undefined) visit(y);
  }
  // Cast, Range and SizeOf: lower.test.ts; After and Recompute: recompute.test.ts; DepthwiseWeightGradient: the gradients of conv; the rest: the
  // comparisons above.
  const elsewhere = [
    "After",
    "And",
    "ArgMax",
    "Cast",
    "DepthwiseWeightGradient",
    "Equal",
    "GreaterOrEqual",
    "IsNaN",
    "Less",
    "LessOrEqual",
    "Not",
    "Or",
    "Range",
    "Recompute",
    "SizeOf",
  ];
  expect([...used, ...elsewhere].sort()).toEqual(expect.arrayContaining(describeOps().map(({ op }) => op)));
});
