/** Gradients of products, reductions, networks' composites and operators on pictures. */
import { dimProduct } from "../dim.ts";
import { type Gradients, keptShape, spread, sumTo, zeros } from "../gradient-rule.ts";
import { operand } from "../op-rule.ts";
import * as e from "../ops/elementwise.ts";
import { scatterElements, sizeScalar } from "../ops/indexing.ts";
import { reshape } from "../ops/movement.ts";
import type { NeuralAttributes } from "../ops/neural.ts";
import type { PictureAttributes } from "../ops/pictures.ts";
import { matmul, type ProductAttributes } from "../ops/products.ts";
import { cumsum, type ReductionAttributes, reduceMean, reduceSum } from "../ops/reductions.ts";
import type { Value } from "../value.ts";

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
  RotaryEmbedding: "definition",
  Attention: "definition",
};

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
  LayerNorm: ([dy], { inputs: [input, scale, bias], attributes: { epsilon } }) => {
    if (!dy) return [null, null, null];
    const [x, w] = [operand("LayerNorm", input), operand("LayerNorm", scale)];
    const mean = (value: Value): Value => reduceMean(value, { axes: [-1], keepDims: true });
    const centred = e.sub(x, mean(x));
    const deviation = e.sqrt(e.add(mean(e.mul(centred, centred)), epsilon));
    const unit = e.div(centred, deviation);
    const g = e.mul(dy, w);
    const dx = e.div(e.sub(e.sub(g, mean(g)), e.mul(unit, mean(e.mul(g, unit)))), deviation);
    return [dx, sumTo(e.mul(dy, unit), w), bias === undefined ? null : sumTo(dy, bias)];
  },
  RmsNorm: "definition",
  Gelu: "definition",
  QuickGelu: "definition",
};

export const pictureGradients: Gradients<PictureAttributes> = {
  Conv: "pending",
  AveragePool: "pending",
  MaxPool: "pending",
  GridSample: "pending",
  Resize: "pending",
  AdaptiveAveragePool2d: "definition",
};
