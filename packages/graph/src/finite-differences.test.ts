/**
 * Every operator's gradient against central differences of its forward pass, number by number, on random shapes and
 * values. The table is total: an operator without a case does not compile.
 */
import { expect, test } from "vitest";
import { at, type Case, drawShapes, randomNumbers, worstDifference } from "../../../testing/gradient-check.ts";
import { constant, type Dim, type OpName, ops, recompute, Value } from "./index.ts";
import { depthwiseWeightGradient } from "./ops/depthwise.ts";
import { after } from "./ops/recompute.ts";

const places = (values: readonly number[], shape: readonly number[] = [values.length]): Value => constant(values.map(BigInt), { shape });
const positive = (x: Value): Value => ops.add(ops.exp(x), 0.5);
const size = (x: Value, axis: number): Dim => x.shape[axis] ?? 0;

const unary = (write: (x: Value) => Value): readonly Case[] => [at("B 1 s", write), at("2 S", write)];
const binary = (write: (a: Value, b: Value) => Value): readonly Case[] => [
  at("B 3 s, s", write),
  at("1 S 2, B 1 2", write),
  at("3, B s 1", write),
  at("S B, S B", write),
];
const compared = (write: (a: Value, b: Value) => Value): readonly Case[] =>
  binary((a, b) => ops.mul(ops.cast(write(a, b), a.dtype), ops.add(a, b)));
const reduced = (op: typeof ops.reduceSum): readonly Case[] => [
  at("B 3 S", (x) => op(x)),
  at("B 3 S", (x) => op(x, { axes: [0, 2] })),
  at("B 1 s", (x) => op(x, { axes: [-1], keepDims: true })),
];
const yes = (x: Value): Value => ops.greater(x, 0.3);
const window = { kernel: [3, 2], strides: [2, 1], pads: [1, 0, 0, 1] } as const;

const cases: { readonly [Op in OpName]: readonly Case[] } = {
  Neg: unary(ops.neg),
  Abs: unary(ops.abs),
  Exp: unary(ops.exp),
  Log: unary((x) => ops.log(positive(x))),
  Sqrt: unary((x) => ops.sqrt(positive(x))),
  Reciprocal: unary((x) => ops.reciprocal(positive(x))),
  Sin: unary(ops.sin),
  Cos: unary(ops.cos),
  Tanh: unary(ops.tanh),
  Sigmoid: unary(ops.sigmoid),
  Erf: unary(ops.erf),
  Relu: unary(ops.relu),
  Floor: unary((x) => ops.add(ops.floor(ops.mul(x, 3)), x)),
  Ceil: unary((x) => ops.add(ops.ceil(ops.mul(x, 3)), x)),
  Round: unary((x) => ops.add(ops.round(ops.mul(x, 3)), x)),
  Sign: unary((x) => ops.mul(ops.sign(x), x)),
  Not: unary((x) => ops.where(ops.not(yes(x)), x, ops.mul(x, x))),
  IsNaN: unary((x) => ops.where(ops.isNaN(x), 1, x)),
  Add: binary(ops.add),
  Sub: binary(ops.sub),
  Mul: binary(ops.mul),
  Div: binary((a, b) => ops.div(a, positive(b))),
  Pow: binary((a, b) => ops.pow(positive(a), b)),
  Min: binary(ops.minimum),
  Max: binary(ops.maximum),
  Equal: compared(ops.equal),
  Less: compared(ops.less),
  LessOrEqual: compared(ops.lessOrEqual),
  Greater: compared(ops.greater),
  GreaterOrEqual: compared(ops.greaterOrEqual),
  And: compared((a, b) => ops.and(yes(a), yes(b))),
  Or: compared((a, b) => ops.or(yes(a), yes(b))),
  Where: [at("B 3, 3, B 1", (c, a, b) => ops.where(yes(c), a, b)), at("S, B 1, 1 S", (c, a, b) => ops.where(yes(c), a, b))],
  Cast: unary((x) => ops.cast(ops.sin(ops.cast(x, "float32")), x.dtype)),
  Reshape: [at("B 6 S", (x) => ops.reshape(x, [size(x, 2), 3, -1, 2])), at("B 1 s", (x) => ops.squeeze(ops.unsqueeze(x, 0), 2))],
  Expand: [at("1 s 1", (x) => ops.expand(x, [3, 2, size(x, 1), 4])), at("B 1", (x) => ops.expand(x, [2, size(x, 0), size(x, 0)]))],
  Transpose: [at("B 3 S", (x) => ops.transpose(x, [2, 0, 1])), at("1 s", (x) => ops.transpose(x, [1, 0]))],
  Concat: [at("B 3, B s, B S", (...x) => ops.concat(x, 1)), at("1 s, B s", (...x) => ops.concat(x, 0))],
  Split: [at("B 4", (x) => ops.split(x, [1, 3], 1)), at("4 S", (x) => ops.split(x, [1, 1, 2], 0)[1] ?? x)],
  Slice: [
    at("B s4", (x) => ops.slice(x, { axis: 1, start: 1, end: -1, step: 2 })),
    at("B 2", (x) => ops.slice(ops.concat([x, x, x], 0), { axis: 0, start: size(x, 0), end: ops.concat([x, x], 0).shape[0] ?? 0 })),
    at("5 S", (x) => ops.slice(x, { axis: 0, start: 2 })),
  ],
  Pad: [
    at("B s", (x) =>
      ops.pad(
        x,
        [
          [0, 1],
          [2, 0],
        ],
        0.5,
      ),
    ),
  ],
  Gather: [
    at("3 S", (x) => ops.gather(x, places([2, 0, 2, 2], [2, 2]))),
    at("B 3 s", (x) => ops.gather(x, places([-1, 1, 1]), 1)),
    at("B 2", (x) => ops.gather(x, ops.range(size(x, 0)))),
  ],
  GatherElements: [
    at("2 3", (x) => ops.gatherElements(x, places([0, 2, 1, 1], [2, 2]), 1)),
    at("3 1", (x) => ops.gatherElements(x, places([2, 2, 0], [3, 1]), 0)),
  ],
  ScatterElements: [
    at("2 3, 2 2", (x, u) => ops.scatterElements(x, places([0, 2, 1, 0], [2, 2]), u, 1)),
    at("2 3, 2 2", (x, u) => ops.scatterElements(x, places([0, 0, 1, 0], [2, 2]), u, 1, { add: true })),
  ],
  ScatterRows: [
    at("4 S, 2 S", (x, u) => ops.scatterRows(x, places([3, 0]), u)),
    at("4 s 1, 3 s 1", (x, u) => ops.scatterRows(x, places([3, 0, 3]), u, { add: true })),
  ],
  SizeOf: [at("B 2", (x) => ops.mul(x, ops.cast(ops.sizeOf(x, 0), x.dtype)))],
  Range: [at("B S", (x) => ops.mul(x, ops.cast(ops.range(size(x, 1)), x.dtype)))],
  ReduceSum: reduced(ops.reduceSum),
  ReduceMean: reduced(ops.reduceMean),
  ReduceMax: reduced(ops.reduceMax),
  ReduceMin: reduced(ops.reduceMin),
  Softmax: [at("B 3 S", (x) => ops.softmax(x, 1)), at("B S", (x) => ops.softmax(x)), at("s 1", (x) => ops.softmax(x, 0))],
  LogSoftmax: [at("B 3 S", (x) => ops.logSoftmax(x, 1)), at("B S", (x) => ops.logSoftmax(x))],
  ArgMax: [at("B 3", (x) => ops.add(x, ops.cast(ops.argMax(x, 1, { keepDims: true }), x.dtype)))],
  TopK: [at("B s4", (x) => ops.topK(x, 3, 1).values), at("5 S", (x) => ops.topK(x, 2, 0).values)],
  CumSum: [at("B S 2", (x) => ops.cumsum(x, 1)), at("s 1", (x) => ops.cumsum(x, 0))],
  MatMul: [
    at("B 2 S 3, 3 4", (a, b) => ops.matmul(a, b)),
    at("B 1 S 3, 2 3 s", (a, b) => ops.matmul(a, b, { alpha: 0.7 })),
    at("3 S, B 2 3", (a, b) => ops.matmul(a, b, { transA: true, transB: true })),
    at("B 3 S, 3 1", (a, b) => ops.matmul(a, b, { transA: true, alpha: 2 })),
    at("S 3, s 3", (a, b) => ops.matmul(a, b, { transB: true })),
  ],
  Linear: [at("B S 3, 2 3, 2", (x, w, b) => ops.linear(x, w as Value, b)), at("S 1, s 1", (x, w) => ops.linear(x, w as Value))],
  RotaryEmbedding: [
    at("B 2 S 4, B S 2, B S 2", (x, cos, sin) => ops.rotaryEmbedding(x, cos as Value, sin as Value)),
    at("B 1 s 2, 1 s 1, 1 s 1", (x, cos, sin) => ops.rotaryEmbedding(x, cos as Value, sin as Value)),
  ],
  Attention: [
    at("B 2 S 2, B 2 T 2, B 2 T 2", (q, k, v) => ops.attention(q, k as Value, v as Value)),
    at("B 4 S 2, B 2 S 2, B 2 S 2", (q, k, v) => ops.attention(q, k as Value, v as Value, { causal: true, scale: 0.4 })),
    at("B 4 S 3, B 1 t 3, B 1 t 3, B 1 1 t", (q, k, v, mask) => ops.attention(q, k as Value, v as Value, { mask: mask as Value })),
  ],
  Embedding: [at("3 s", (table) => ops.embedding(places([1, 0, 2, 1], [2, 2]), table))],
  LayerNorm: [
    at("B S s3, s3, s3", (x, w, b) => ops.layerNorm(x, w as Value, b as Value, { epsilon: 1e-3 })),
    at("B 3", (x) => ops.layerNorm(x, null, null, { epsilon: 0.1 })),
  ],
  RmsNorm: [
    at("B S s, s", (x, w) => ops.rmsNorm(x, w as Value, { epsilon: 0.1 })),
    at("3, 3", (x, w) => ops.rmsNorm(x, w as Value, { epsilon: 1e-3 })),
  ],
  Gelu: [...unary(ops.gelu), ...unary(ops.geluTanh)],
  QuickGelu: [...unary(ops.quickGelu), ...unary(ops.silu)],
  CrossEntropy: [at("R 5", (x) => ops.crossEntropy(x, ops.range(size(x, 0))))],
  Conv: [
    at("B 4 h3 w3, 6 2 3 2, 6", (x, w, b) => ops.conv(x, w as Value, b, { groups: 2, pads: [1, 0, 2, 1] })),
    at("B 2 h4 w4, 2 1 3 3, 2", (x, w, b) =>
      ops.conv(x, w as Value, b, { groups: 2, strides: [2, 1], pads: [1, 1, 1, 1], dilations: [1, 2] }),
    ),
    at("B 2 h2 w3, 3 2 2 3", (x, w) => ops.conv(x, w as Value, null, { strides: [2, 3] })),
    at("B s h w, 3 s 1 1", (x, w) => ops.conv(x, w as Value)),
    at("1 1 h4 1, 2 1 3 1", (x, w) => ops.conv(x, w as Value, null, { strides: [3, 2], pads: [2, 0, 0, 0] })),
  ],
  AveragePool: [at("B 2 h3 w3", (x) => ops.averagePool(x, window)), at("B 1 4 6", (x) => ops.averagePool(x, { kernel: [2, 3] }))],
  MaxPool: [at("B 2 h3 w3", (x) => ops.maxPool(x, window)), at("B 1 4 6", (x) => ops.maxPool(x, { kernel: [2, 3] }))],
  GridSample: [
    at("B 2 3 w1, B h 2 2", (x, offset) => {
      // Between pixels, some beyond the edge: at a pixel itself the slope jumps.
      const sides = constant([Number(size(x, 3)), 3], { dtype: x.dtype });
      const pixel = ops.add(ops.mul(ops.sigmoid(offset as Value), 0.6), constant([-0.8, 1.2, 0.2, 2.2], { shape: [2, 2], dtype: x.dtype }));
      return ops.gridSample(x, ops.sub(ops.div(ops.add(ops.mul(pixel, 2), 1), sides), 1));
    }),
  ],
  Resize: (["nearest", "linear", "cubic"] as const).flatMap((mode) => [
    at("B 2 h2 w", (x) => ops.resize(x, [3, 5], { mode })),
    at("B 1 h w2", (x) => ops.resize(x, [4, 2], { mode, alignCorners: mode !== "nearest" })),
  ]),
  DepthwiseWeightGradient: [
    at("B 2 h2 w3, B 2 h4 w3", (dy, x) =>
      depthwiseWeightGradient(dy, x as Value, { kernel: [3, 2], pads: [0, 0, 0, 1], strides: [1, 1], dilations: [1, 1], groups: 2 }),
    ),
  ],
  AdaptiveAveragePool2d: [at("B 2 h2 w", (x) => ops.adaptiveAveragePool2d(x, [2, 3]))],
  Recompute: [
    at("B S 3, 3 3", (x, w) => recompute([x], (h) => ops.tanh(ops.matmul(h, w as Value)))),
    at("B 1, s", (a, b) => recompute([a, b as Value], (x, y) => [ops.mul(x, y), ops.sin(x)] as const)),
  ],
  After: [
    at("B S, 1 2", (x, earlier) => ops.mul(after(x, [earlier as Value]), 2)),
    at("s, 3", (x, y) => after(ops.reduceSum(x), [x, y as Value])),
  ],
};

/** ONNX Runtime has these in single precision only. */
const single: ReadonlySet<string> = new Set<OpName>(["Conv", "AveragePool", "GridSample", "Resize", "Erf", "Gelu", "Cast", "LayerNorm"]);

test.each(Object.entries(cases))("%s", async (op, list) => {
  const dtype = single.has(op) ? "float32" : "float64";
  for (const [i, one] of list.entries()) {
    for (const seed of [1, 2, 3]) {
      const difference = await worstDifference(one, dtype, seed + 10 * i);
      expect(difference, `case ${i} of ${op}, seed ${seed}`).toBeLessThan(dtype === "float32" ? 3e-3 : 1e-6);
    }
  }
});

test("a wrong gradient is seen", async () => {
  const product = at("B 3, 3", (a, b) => ops.mul(a, b as Value));
  expect(await worstDifference(product, "float64", 1, (a, b) => ops.mul(ops.mul(a, b as Value), 1.0001))).toBeGreaterThan(1e-6);
  const convolution = at("B 2 5 5, 2 2 3 3", (x, w) => ops.conv(x, w as Value));
  const slightly = (x: Value, w?: Value): Value => ops.mul(ops.conv(x, w as Value), 1.02);
  expect(await worstDifference(convolution, "float32", 1, slightly)).toBeGreaterThan(3e-3);
});

test("every case reaches the operator that it stands for", () => {
  for (const [op, list] of Object.entries(cases)) {
    const reached = list.every((one) => {
      const seen = new Set<Value>();
      const reaches = (value: Value): boolean => {
        if (seen.has(value)) return false;
        seen.add(value);
        return value.node !== null && (value.node.op === op || value.node.inputs.some(reaches));
      };
      const made = one.write(...drawShapes(one, "float64", randomNumbers(1)).values);
      return (made instanceof Value ? [made] : made).some(reaches);
    });
    expect(reached, op).toBe(true);
  }
});
