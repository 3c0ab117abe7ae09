/** Products, convolutions, reductions, pooling and sampling. */
import { type Dim, dimEquals, formatShape, type Shape } from "../dim.ts";
import { float, int, ints, type OnnxAttributes, string } from "../onnx-attributes.ts";
import { apply, applyAll, axisOf, operand, type Rules } from "../op-rule.ts";
import { ShapeError } from "../shape-error.ts";
import type { Value } from "../value.ts";
import { broadcast } from "./elementwise.ts";

type Pair = readonly [number, number];
/** top, left, bottom, right */
type Pads = readonly [number, number, number, number];
interface Window {
  readonly kernel: Pair;
  readonly strides: Pair;
  readonly pads: Pads;
}
interface Reduction {
  readonly axes: readonly number[];
  readonly keepDims: boolean;
}

export interface LinearAlgebraAttributes {
  MatMul: { readonly transA: boolean; readonly transB: boolean; readonly alpha: number };
  Conv: { readonly strides: Pair; readonly pads: Pads; readonly dilations: Pair; readonly groups: number };
  AveragePool: Window;
  MaxPool: Window;
  GridSample: Readonly<Record<never, never>>;
  Resize: {
    readonly size: Pair;
    readonly mode: "nearest" | "linear" | "cubic";
    readonly alignCorners: boolean;
    readonly cubicCoefficient: number;
  };
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

/** Size of one axis after a window slides over it. */
function slid(op: string, size: Dim | undefined, kernel: number, stride: number, before: number, after: number, dilation = 1): number {
  if (typeof size !== "number") throw new ShapeError(`${op}: the picture's sides must be known when the graph is written, got ${size}.`);
  const result = Math.floor((size + before + after - dilation * (kernel - 1) - 1) / stride) + 1;
  if (result < 1) throw new ShapeError(`${op}: a window of ${kernel} does not fit ${size} with pads ${before} and ${after}.`);
  return result;
}

function pooled(op: string, x: Value | undefined, { kernel, strides, pads }: Window): Shape {
  const [B = 0, C = 0, H, W] = operand(op, x).shape;
  if (operand(op, x).shape.length !== 4) throw new ShapeError(`${op}: expected [B, C, H, W], got ${formatShape(operand(op, x).shape)}.`);
  return [B, C, slid(op, H, kernel[0], strides[0], pads[0], pads[2]), slid(op, W, kernel[1], strides[1], pads[1], pads[3])];
}

const windowAttributes = ({ kernel, strides, pads }: Window): OnnxAttributes => ({
  kernel_shape: ints(kernel),
  strides: ints(strides),
  pads: ints(pads),
});

function reduction(op: string): Rules<LinearAlgebraAttributes>["ReduceSum"] {
  return {
    shape: ([x], { axes, keepDims }) => {
      const from = operand(op, x);
      return [{ dtype: from.dtype, shape: from.shape.flatMap((dim, i) => (axes.includes(i) ? (keepDims ? [1] : []) : [dim])) }];
    },
    lower: { emit: (e, [x = ""], { attributes: { axes, keepDims } }) => e.node(op, [x, e.int64(axes)], { keepdims: int(keepDims) }) },
  };
}

function sameShape(op: string): Rules<LinearAlgebraAttributes>["Softmax"] {
  return { shape: ([x]) => [operand(op, x)], lower: { onnx: op, attributes: ({ axis }) => ({ axis: int(axis) }) } };
}

function swapLast(shape: Shape, swap: boolean): Shape {
  return swap ? [...shape.slice(0, -2), shape.at(-1) ?? 0, shape.at(-2) ?? 0] : shape;
}

const lastTwo = (rank: number): readonly number[] => [...Array.from({ length: rank - 2 }, (_, i) => i), rank - 1, rank - 2];

export const linearAlgebraRules: Rules<LinearAlgebraAttributes> = {
  MatMul: {
    shape: ([left, right], { transA, transB }) => {
      const [a, b] = [operand("MatMul", left), operand("MatMul", right)];
      const [sa, sb] = [swapLast(a.shape, transA), swapLast(b.shape, transB)];
      const bad = `MatMul: ${a.dtype} ${formatShape(sa)} times ${b.dtype} ${formatShape(sb)}`;
      if (a.dtype !== b.dtype) throw new ShapeError(`${bad}: the types differ.`);
      if (sa.length < 2 || sb.length < 2) throw new ShapeError(`${bad}: expected at least two axes on both sides.`);
      if (!dimEquals(sa.at(-1) ?? 0, sb.at(-2) ?? 0)) throw new ShapeError(`${bad}: the inner axes ${sa.at(-1)} and ${sb.at(-2)} differ.`);
      return [{ dtype: a.dtype, shape: [...broadcast("MatMul", [sa.slice(0, -2), sb.slice(0, -2)]), sa.at(-2) ?? 0, sb.at(-1) ?? 0] }];
    },
    lower: {
      emit: (e, [a = "", b = ""], node) => {
        const { transA, transB, alpha } = node.attributes;
        if (!transA && !transB && alpha === 1) return e.node("MatMul", [a, b]);
        if (e.target === "onnxruntime") {
          return e.node(
            "FusedMatMul",
            [a, b],
            { transA: int(transA), transB: int(transB), alpha: float(alpha) },
            { domain: "com.microsoft" },
          );
        }
        const turn = (name: string, x: Value | undefined, on: boolean): string =>
          on ? (e.node("Transpose", [name], { perm: ints(lastTwo(operand("MatMul", x).shape.length)) })[0] ?? "") : name;
        const product = e.node("MatMul", [turn(a, node.inputs[0], transA), turn(b, node.inputs[1], transB)]);
        return alpha === 1 ? product : e.node("Mul", [product[0] ?? "", e.scalar(alpha, operand("MatMul", node.inputs[0]).dtype)]);
      },
    },
  },
  Conv: {
    shape: ([x, w, bias], { strides, pads, dilations, groups }) => {
      const [input, weight] = [operand("Conv", x), operand("Conv", w)];
      const [B = 0, C, H, W] = input.shape;
      const [out, perGroup, kh, kw] = weight.shape;
      const bad = `Conv: ${formatShape(input.shape)} with weight ${formatShape(weight.shape)} in ${groups} group(s)`;
      if (input.shape.length !== 4 || weight.shape.length !== 4)
        throw new ShapeError(`${bad}: expected [B, C, H, W] and [out, C/groups, kh, kw].`);
      if (typeof C !== "number" || typeof perGroup !== "number" || C !== perGroup * groups)
        throw new ShapeError(`${bad}: the channels do not fit.`);
      if (typeof out !== "number" || out % groups !== 0 || typeof kh !== "number" || typeof kw !== "number")
        throw new ShapeError(`${bad}: the output channels do not divide.`);
      if (bias !== undefined && bias.shape[0] !== out)
        throw new ShapeError(`${bad}: expected a bias of ${out}, got ${formatShape(bias.shape)}.`);
      const height = slid("Conv", H, kh, strides[0], pads[0], pads[2], dilations[0]);
      return [{ dtype: input.dtype, shape: [B, out, height, slid("Conv", W, kw, strides[1], pads[1], pads[3], dilations[1])] }];
    },
    lower: {
      onnx: "Conv",
      attributes: ({ strides, pads, dilations, groups }) => ({
        strides: ints(strides),
        pads: ints(pads),
        dilations: ints(dilations),
        group: int(groups),
      }),
    },
  },
  AveragePool: {
    shape: ([x], window) => [{ dtype: operand("AveragePool", x).dtype, shape: pooled("AveragePool", x, window) }],
    lower: { onnx: "AveragePool", attributes: (window) => ({ ...windowAttributes(window), count_include_pad: int(1) }) },
  },
  MaxPool: {
    shape: ([x], window) => [{ dtype: operand("MaxPool", x).dtype, shape: pooled("MaxPool", x, window) }],
    lower: { onnx: "MaxPool", attributes: windowAttributes },
  },
  GridSample: {
    shape: ([x, grid]) => {
      const [input, at] = [operand("GridSample", x), operand("GridSample", grid)];
      if (input.shape.length !== 4 || at.shape.length !== 4 || at.shape[3] !== 2 || !dimEquals(input.shape[0] ?? 0, at.shape[0] ?? 0)) {
        throw new ShapeError(
          `GridSample: expected [B, C, H, W] and [B, h, w, 2], got ${formatShape(input.shape)} and ${formatShape(at.shape)}.`,
        );
      }
      return [{ dtype: input.dtype, shape: [input.shape[0] ?? 0, input.shape[1] ?? 0, at.shape[1] ?? 0, at.shape[2] ?? 0] }];
    },
    lower: { onnx: "GridSample", attributes: () => ({ mode: string("linear"), padding_mode: string("zeros"), align_corners: int(0) }) },
  },
  Resize: {
    shape: ([x], { size }) => {
      const { dtype, shape } = operand("Resize", x);
      if (shape.length !== 4) throw new ShapeError(`Resize: expected [B, C, H, W], got ${formatShape(shape)}.`);
      return [{ dtype, shape: [shape[0] ?? 0, shape[1] ?? 0, size[0], size[1]] }];
    },
    lower: {
      emit: (e, [x = ""], node) => {
        const { size, mode, alignCorners, cubicCoefficient } = node.attributes;
        const [B = 0, C = 0] = operand("Resize", node.inputs[0]).shape;
        return e.node("Resize", [x, "", "", e.shape([B, C, ...size])], {
          mode: string(mode),
          coordinate_transformation_mode: string(alignCorners ? "align_corners" : mode === "nearest" ? "asymmetric" : "half_pixel"),
          nearest_mode: string("floor"),
          cubic_coeff_a: float(cubicCoefficient),
        });
      },
    },
  },
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
      const kept = shape.map((dim, i) => (i === axis ? k : dim));
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

/** `alpha · a · b` over the last two axes, the axes in front broadcast; `transA`, `transB` swap an operand's last two axes. */
export function matmul(
  a: Value,
  b: Value,
  { transA = false, transB = false, alpha = 1 }: Partial<LinearAlgebraAttributes["MatMul"]> = {},
): Value {
  return apply(linearAlgebraRules, "MatMul", [a, b], { transA, transB, alpha });
}

/** 2-d convolution: x [B, C, H, W], weight [out, C/groups, kh, kw], bias [out]; pads are top, left, bottom, right. */
export function conv(x: Value, weight: Value, bias: Value | null = null, options: Partial<LinearAlgebraAttributes["Conv"]> = {}): Value {
  const { strides = [1, 1], pads = [0, 0, 0, 0], dilations = [1, 1], groups = 1 } = options;
  return apply(linearAlgebraRules, "Conv", bias === null ? [x, weight] : [x, weight, bias], { strides, pads, dilations, groups });
}

type WindowOptions = Pick<Window, "kernel"> & Partial<Window>;
const windowOf = ({ kernel, strides = kernel, pads = [0, 0, 0, 0] }: WindowOptions): Window => ({ kernel, strides, pads });

export function averagePool(x: Value, options: WindowOptions): Value {
  return apply(linearAlgebraRules, "AveragePool", [x], windowOf(options));
}

export function maxPool(x: Value, options: WindowOptions): Value {
  return apply(linearAlgebraRules, "MaxPool", [x], windowOf(options));
}

/** Bilinear sampling as torch's grid_sample: grid [B, h, w, (x, y)] in -1 … 1, align_corners false, zeros outside. */
export function gridSample(x: Value, grid: Value): Value {
  return apply(linearAlgebraRules, "GridSample", [x, grid], {});
}

/** Resizes pictures [B, C, H, W] to [height, width] as torch's interpolate does (cubic: a = -0.75). */
export function resize(
  x: Value,
  size: Pair,
  { mode = "linear", alignCorners = false, cubicCoefficient = -0.75 }: Partial<Omit<LinearAlgebraAttributes["Resize"], "size">> = {},
): Value {
  return apply(linearAlgebraRules, "Resize", [x], { size, mode, alignCorners, cubicCoefficient });
}

interface ReduceOptions {
  readonly axes?: readonly number[];
  readonly keepDims?: boolean;
}
type Reduce = (x: Value, options?: ReduceOptions) => Value;
const reduce =
  (op: "ReduceSum" | "ReduceMean" | "ReduceMax" | "ReduceMin"): Reduce =>
  (x, { axes = x.shape.map((_, i) => i), keepDims = false } = {}) =>
    apply(linearAlgebraRules, op, [x], { axes: axes.map((axis) => axisOf(op, x, axis)), keepDims });
/** Over all axes unless `axes` names some. */
export const reduceSum: Reduce = reduce("ReduceSum");
export const reduceMean: Reduce = reduce("ReduceMean");
export const reduceMax: Reduce = reduce("ReduceMax");
export const reduceMin: Reduce = reduce("ReduceMin");

export function softmax(x: Value, axis = -1): Value {
  return apply(linearAlgebraRules, "Softmax", [x], { axis: axisOf("softmax", x, axis) });
}

export function logSoftmax(x: Value, axis = -1): Value {
  return apply(linearAlgebraRules, "LogSoftmax", [x], { axis: axisOf("logSoftmax", x, axis) });
}

export function argMax(x: Value, axis: number, { keepDims = false }: { readonly keepDims?: boolean } = {}): Value {
  return apply(linearAlgebraRules, "ArgMax", [x], { axis: axisOf("argMax", x, axis), keepDims });
}

/** The k largest along an axis, best first, and their int64 places. */
export function topK(x: Value, k: number, axis = -1): { readonly values: Value; readonly indices: Value } {
  const [values, indices] = applyAll(linearAlgebraRules, "TopK", [x], { axis: axisOf("topK", x, axis), k });
  return { values: operand("topK", values), indices: operand("topK", indices) };
}

export function cumsum(x: Value, axis: number): Value {
  return apply(linearAlgebraRules, "CumSum", [x], { axis: axisOf("cumsum", x, axis) });
}
