/** Gradients of products, reductions and networks' composites. */
import { dimProduct, type Shape } from "../dim.ts";
import { type Gradients, keptShape, spread, sumTo, zeros } from "../gradient-rule.ts";
import { operand } from "../op-rule.ts";
import * as e from "../ops/elementwise.ts";
import { scatterElements, sizeScalar, slice } from "../ops/indexing.ts";
import { expand, reshape, unsqueeze } from "../ops/movement.ts";
import type { NeuralAttributes } from "../ops/neural.ts";
import { attentionWeights, matmul, type ProductAttributes, rotaryEmbedding, stackHeads } from "../ops/products.ts";
import { cumsum, type ReductionAttributes, reduceSum, softmax } from "../ops/reductions.ts";
import { constant, type Value } from "../value.ts";

export const productGradients: Gradients<ProductAttributes> = {
  MatMul: ([dy], { inputs: [left, right], attributes: { transA, transB, alpha } }) => {
    if (!dy) return [null, null];
    const [a, b] = [operand("MatMul", left), operand("MatMul", right)];
    const da = transA ? matmul(b, dy, { transA: transB, transB: true, alpha }) : matmul(dy, b, { transB: !transB, alpha });
    // A weight shared by the whole batch: one product of flattened rows instead of a sum of one product per sample.
    const flat = b.shape.length === 2 && a.shape.length > 2 && !transA;
    const [x, g] = flat ? [rows(a), rows(dy)] : [a, dy];
    const db = transB ? matmul(g, x, { transA: true, transB: transA, alpha }) : matmul(x, g, { transA: !transA, alpha });
    return [sumTo(da, a), sumTo(db, b)];
  },
  Linear: "definition",
  // A rotation's gradient is turned back: by −sin.
  RotaryEmbedding: ([dy], { inputs: [input, cosines, sines] }) => {
    if (!dy) return [null, null, null];
    const [x, cos, sin] = [operand("RotaryEmbedding", input), operand("RotaryEmbedding", cosines), operand("RotaryEmbedding", sines)];
    const half = Number(x.shape.at(-1)) / 2;
    const halves = (value: Value): readonly [Value, Value] => [
      slice(value, { axis: -1, end: half }),
      slice(value, { axis: -1, start: half }),
    ];
    const [[a, b], [da, db]] = [halves(x), halves(dy)];
    const table = (value: Value): Value => reshape(sumTo(value, { dtype: cos.dtype, shape: insertOne(cos.shape) }), cos.shape);
    return [rotaryEmbedding(dy, cos, e.neg(sin)), table(e.add(e.mul(da, a), e.mul(db, b))), table(e.sub(e.mul(db, a), e.mul(da, b)))];
  },
  // Σ over columns of weights · d weights is Σ over channels of y · dy: one pass over the [S, T] matrices less (FlashAttention does so).
  Attention: ([dy], { inputs, outputs: [result], attributes }) => {
    if (!dy) return inputs.map(() => null);
    const [query, key, value, mask] = inputs;
    const [q, k, v, y] = [query, key, value, result].map((x) => operand("Attention", x)) as [Value, Value, Value, Value];
    const Hkv = k.shape[1] ?? 0;
    const [queries, g] = [stackHeads(q, Hkv), stackHeads(dy, Hkv)];
    const weights = attentionWeights(inputs, attributes);
    const mean = stackHeads(reduceSum(e.mul(y, dy), { axes: [-1], keepDims: true }), Hkv);
    const scores = e.mul(weights, e.sub(matmul(g, v, { transB: true }), mean));
    const { scale: alpha } = attributes;
    return [
      reshape(matmul(scores, k, { alpha }), q.shape),
      matmul(scores, queries, { transA: true, alpha }),
      matmul(weights, g, { transA: true }),
      ...(mask === undefined ? [] : [sumTo(reshape(scores, [...q.shape.slice(0, -1), k.shape[2] ?? 0]), mask)]),
    ];
  },
};

/** [B, S, D] → [B, 1, S, D] */
function insertOne([B = 0, ...rest]: Shape): Shape {
  return [B, 1, ...rest];
}

/** A row of them, one for each of x's: the sum of x's rows as a product takes half the time. */
function ones(x: Value): Value {
  return expand(constant(1, { dtype: x.dtype }), [1, x.shape[0] ?? 0]);
}

function rows(x: Value): Value {
  return reshape(x, [dimProduct(x.shape.slice(0, -1)), x.shape.at(-1) ?? 0]);
}

/** The gradient goes to the extreme; equals share it. */
const extreme: Gradients<ReductionAttributes>["ReduceMax"] = ([dy], { op, inputs: [input], outputs: [y], attributes: { axes } }) => {
  if (!dy) return [null];
  const x = operand(op, input);
  const hit = e.cast(e.equal(x, reshape(operand(op, y), keptShape(x.shape, axes))), dy.dtype);
  const shared = e.div(reshape(dy, keptShape(x.shape, axes)), reduceSum(hit, { axes, keepDims: true }));
  return [e.mul(hit, shared)];
};

export const reductionGradients: Gradients<ReductionAttributes> = {
  ReduceSum: ([dy], { inputs: [x], attributes: { axes } }) => [dy ? spread(dy, operand("ReduceSum", x), axes) : null],
  ReduceMean: ([dy], { inputs: [input], attributes: { axes } }) => {
    if (!dy) return [null];
    const x = operand("ReduceMean", input);
    const count = dimProduct(axes.map((axis) => x.shape[axis] ?? 1));
    return [spread(e.div(dy, typeof count === "number" ? count : e.cast(sizeScalar(count), dy.dtype)), x, axes)];
  },
  ReduceMax: extreme,
  ReduceMin: extreme,
  Softmax: ([dy], { outputs: [y], attributes: { axis } }) => {
    if (!dy) return [null];
    const p = operand("Softmax", y);
    return [e.mul(p, e.sub(dy, reduceSum(e.mul(dy, p), { axes: [axis], keepDims: true })))];
  },
  LogSoftmax: ([dy], { outputs: [y], attributes: { axis } }) => [
    dy ? e.sub(dy, e.mul(e.exp(operand("LogSoftmax", y)), reduceSum(dy, { axes: [axis], keepDims: true }))) : null,
  ],
  ArgMax: "nonDifferentiable",
  TopK: ([dy], { inputs: [x], outputs: [, indices], attributes: { axis } }) => [
    dy ? scatterElements(zeros(operand("TopK", x)), operand("TopK", indices), dy, axis) : null,
  ],
  CumSum: ([dy], { attributes: { axis } }) => [
    dy ? e.add(dy, e.sub(reduceSum(dy, { axes: [axis], keepDims: true }), cumsum(dy, axis))) : null,
  ],
};

export const neuralGradients: Gradients<NeuralAttributes> = {
  Embedding: "definition",
  LayerNorm: ([dy], { inputs: [input, scale, bias], outputs: [, mean, inverse] }) => {
    if (!dy) return [null, null, null];
    const [x, w] = [operand("LayerNorm", input), operand("LayerNorm", scale)];
    const centred = e.sub(x, e.cast(operand("LayerNorm", mean), x.dtype));
    const [g, dw] = normGradients(dy, centred, w, operand("LayerNorm", inverse), meanOfProduct(dy, w));
    return [g, dw, bias === undefined ? null : reshape(matmul(ones(rows(dy)), rows(dy)), bias.shape)];
  },
  RmsNorm: ([dy], { inputs: [input, scale], outputs: [, inverse] }) => {
    if (!dy) return [null, null];
    const [x, w] = [operand("RmsNorm", input), operand("RmsNorm", scale)];
    return normGradients(dy, x, w, operand("RmsNorm", inverse), null);
  },
  Gelu: "definition",
  // y = x·s, s = σ(αx): y′ = s + αy·(1 − s)
  QuickGelu: ([dy], { inputs: [input], outputs: [y], attributes: { alpha } }) => {
    if (!dy) return [null];
    const x = operand("QuickGelu", input);
    const s = e.sigmoid(alpha === 1 ? x : e.mul(x, alpha));
    const rest = e.mul(operand("QuickGelu", y), e.sub(1, s));
    return [e.mul(dy, e.add(s, alpha === 1 ? rest : e.mul(rest, alpha)))];
  },
  // softmax(logits), less 1 at the target
  CrossEntropy: ([dy], { inputs: [input, targets] }) => {
    if (!dy) return [null, null];
    const weight = unsqueeze(dy, 1);
    const spreadOut = e.mul(softmax(operand("CrossEntropy", input), 1), weight);
    return [scatterElements(spreadOut, unsqueeze(operand("CrossEntropy", targets), 1), e.neg(weight), 1, { add: true }), null];
  },
};

/**
 * Of y = x·r·w, r = 1 / deviation of x: dx = r · (dy·w − [mean(dy·w)] − x·r² · mean(dy·w·x)), dw = Σ r·dy·x. What is one number
 * a row or a column is a product with a vector; x·r itself is not needed.
 */
function normGradients(dy: Value, x: Value, w: Value, inverse: Value, mean: Value | null): readonly [Value, Value] {
  const r = e.cast(inverse, x.dtype);
  const along = e.mul(dy, x);
  const weighted = e.mul(dy, w);
  const turn = e.mul(x, e.neg(e.mul(e.mul(r, r), meanOfProduct(along, w))));
  const dx = e.mul(e.add(mean === null ? weighted : e.sub(weighted, mean), turn), r);
  return [dx, reshape(matmul(reshape(r, [1, -1]), rows(along)), w.shape)];
}

/** The mean over the last axis of x · weight, [..., 1]: a product with a column. */
function meanOfProduct(x: Value, weight: Value): Value {
  const [width] = weight.shape;
  const column = reshape(weight, [width ?? 0, 1]);
  return reshape(matmul(rows(x), column, { alpha: 1 / Number(width) }), [...x.shape.slice(0, -1), 1]);
}
