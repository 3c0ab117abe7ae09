/** Operators that work along axes: sums and extremes, softmax, the largest, running sums. */
import { formatShape } from "../dim.ts";
import { int } from "../onnx-attributes.ts";
import { apply, applyAll, axisOf, operand, type Rules, requireFloat, withAxis } from "../op-rule.ts";
import { ShapeError } from "../shape-error.ts";
import type { Value } from "../value.ts";

interface Reduction {
  readonly axes: readonly number[];
  readonly keepDims: boolean;
}

export interface ReductionAttributes {
  ReduceSum: Reduction;
  ReduceMean: Reduction;
  ReduceMax: Reduction;
  ReduceMin: Reduction;
  Softmax: { readonly axis: number };
  LogSoftmax: { readonly axis: number };
  ArgMax: { readonly axis: number; readonly keepDims: boolean };
  TopK: { readonly axis: number; readonly k: number };
  CumSum: { readonly axis: number };
}

function reduction(op: string): Rules<ReductionAttributes>["ReduceSum"] {
  return {
    shape: ([x], { axes, keepDims }) => {
      const from = operand(op, x);
      if (new Set(axes).size !== axes.length) throw new ShapeError(`${op}: an axis of [${axes.join(", ")}] is named twice.`);
      return [{ dtype: from.dtype, shape: from.shape.flatMap((dim, i) => (axes.includes(i) ? (keepDims ? [1] : []) : [dim])) }];
    },
    lower: { emit: (e, [x = ""], { attributes: { axes, keepDims } }) => e.node(op, [x, e.int64(axes)], { keepdims: int(keepDims) }) },
  };
}

function sameShape(op: string): Rules<ReductionAttributes>["Softmax"] {
  return { shape: ([x]) => [requireFloat(op, x)], lower: { onnx: op, attributes: ({ axis }) => ({ axis: int(axis) }) } };
}

export const reductionRules: Rules<ReductionAttributes> = {
  ReduceSum: reduction("ReduceSum"),
  ReduceMean: reduction("ReduceMean"),
  ReduceMax: reduction("ReduceMax"),
  ReduceMin: reduction("ReduceMin"),
  Softmax: sameShape("Softmax"),
  LogSoftmax: sameShape("LogSoftmax"),
  ArgMax: {
    shape: ([x], { axis, keepDims }) => [
      { dtype: "int64", shape: operand("ArgMax", x).shape.flatMap((dim, i) => (i === axis ? (keepDims ? [1] : []) : [dim])) },
    ],
    lower: { onnx: "ArgMax", attributes: ({ axis, keepDims }) => ({ axis: int(axis), keepdims: int(keepDims) }) },
  },
  TopK: {
    shape: ([x], { axis, k }) => {
      const { dtype, shape } = operand("TopK", x);
      const size = shape[axis] ?? 0;
      if (!Number.isInteger(k) || k < 0 || (typeof size === "number" && k > size))
        throw new ShapeError(`TopK: expected 0 to ${size} of axis ${axis} of ${formatShape(shape)}, got k = ${k}.`);
      const kept = withAxis(shape, axis, k);
      return [
        { dtype, shape: kept },
        { dtype: "int64", shape: kept },
      ];
    },
    lower: { emit: (e, [x = ""], { attributes: { axis, k } }) => e.node("TopK", [x, e.int64([k])], { axis: int(axis) }, { outputs: 2 }) },
  },
  CumSum: {
    shape: ([x]) => [operand("CumSum", x)],
    lower: { emit: (e, [x = ""], { attributes: { axis } }) => e.node("CumSum", [x, e.scalar(axis, "int64")]) },
  },
};

interface ReduceOptions {
  readonly axes?: readonly number[];
  readonly keepDims?: boolean;
}
type Reduce = (x: Value, options?: ReduceOptions) => Value;
const reduce =
  (op: "ReduceSum" | "ReduceMean" | "ReduceMax" | "ReduceMin"): Reduce =>
  (x, { axes = x.shape.map((_, i) => i), keepDims = false } = {}) =>
    axes.length === 0 ? x : apply(reductionRules, op, [x], { axes: axes.map((axis) => axisOf(op, x, axis)), keepDims });
/** Over all axes unless `axes` names some. */
export const reduceSum: Reduce = reduce("ReduceSum");
export const reduceMean: Reduce = reduce("ReduceMean");
export const reduceMax: Reduce = reduce("ReduceMax");
export const reduceMin: Reduce = reduce("ReduceMin");

export function softmax(x: Value, axis = -1): Value {
  return apply(reductionRules, "Softmax", [x], { axis: axisOf("softmax", x, axis) });
}

export function logSoftmax(x: Value, axis = -1): Value {
  return apply(reductionRules, "LogSoftmax", [x], { axis: axisOf("logSoftmax", x, axis) });
}

export function argMax(x: Value, axis: number, { keepDims = false }: { readonly keepDims?: boolean } = {}): Value {
  return apply(reductionRules, "ArgMax", [x], { axis: axisOf("argMax", x, axis), keepDims });
}

/** The k largest along an axis, best first, and their int64 places. */
export function topK(x: Value, k: number, axis = -1): { readonly values: Value; readonly indices: Value } {
  const [values, indices] = applyAll(reductionRules, "TopK", [x], { axis: axisOf("topK", x, axis), k });
  return { values: operand("topK", values), indices: operand("topK", indices) };
}

export function cumsum(x: Value, axis: number): Value {
  return apply(reductionRules, "CumSum", [x], { axis: axisOf("cumsum", x, axis) });
}
