/** Operators on pictures [B, C, H, W]: convolution, pooling, resizing, sampling. */
import type { DataType } from "../data-type.ts";
import { type Dim, dimEquals, formatShape, type Shape } from "../dim.ts";
import { float, int, ints, type OnnxAttributes, string } from "../onnx-attributes.ts";
import { apply, applyAll, operand, type Rules, requireFloat } from "../op-rule.ts";
import { ShapeError } from "../shape-error.ts";
import { constant, type Value } from "../value.ts";
import { convolutionAttributes, depthwiseInBlocks } from "./depthwise.ts";
import { matmul } from "./products.ts";

type Pair = readonly [number, number];
/** top, left, bottom, right */
type Pads = readonly [number, number, number, number];
interface Window {
  readonly kernel: Pair;
  readonly strides: Pair;
  readonly pads: Pads;
}
export interface PictureAttributes {
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
  AdaptiveAveragePool2d: { readonly size: Pair };
}

/** Size of one axis after a window slides over it. */
function slid(op: string, size: Dim | undefined, kernel: number, stride: number, before: number, after: number, dilation = 1): number {
  if (
    ![kernel, stride, dilation].every((n) => Number.isInteger(n) && n >= 1) ||
    ![before, after].every((n) => Number.isInteger(n) && n >= 0)
  )
    throw new ShapeError(
      `${op}: expected kernel, stride and dilation ≥ 1 and pads ≥ 0, got ${kernel}, ${stride}, ${dilation}, ${before}, ${after}.`,
    );
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

export const pictureRules: Rules<PictureAttributes> = {
  Conv: {
    shape: ([x, w, bias], { strides, pads, dilations, groups }) => {
      const [input, weight] = [requireFloat("Conv", x), operand("Conv", w)];
      const [B = 0, C, H, W] = input.shape;
      const [out, perGroup, kh, kw] = weight.shape;
      const bad = `Conv: ${formatShape(input.shape)} with weight ${formatShape(weight.shape)} in ${groups} group(s)`;
      if (input.shape.length !== 4 || weight.shape.length !== 4)
        throw new ShapeError(`${bad}: expected [B, C, H, W] and [out, C/groups, kh, kw].`);
      if (typeof C !== "number" || typeof perGroup !== "number" || C !== perGroup * groups)
        throw new ShapeError(`${bad}: the channels do not fit.`);
      if (typeof out !== "number" || out % groups !== 0 || typeof kh !== "number" || typeof kw !== "number")
        throw new ShapeError(`${bad}: the output channels do not divide.`);
      if (weight.dtype !== input.dtype || (bias !== undefined && bias.dtype !== input.dtype))
        throw new ShapeError(`${bad}: the types differ.`);
      if (bias !== undefined && (bias.shape.length !== 1 || bias.shape[0] !== out))
        throw new ShapeError(`${bad}: expected a bias of ${out}, got ${formatShape(bias.shape)}.`);
      const height = slid("Conv", H, kh, strides[0], pads[0], pads[2], dilations[0]);
      return [{ dtype: input.dtype, shape: [B, out, height, slid("Conv", W, kw, strides[1], pads[1], pads[3], dilations[1])] }];
    },
    lower: {
      emit: (e, inputs, node) => depthwiseInBlocks(e, inputs, node) ?? e.node("Conv", inputs, convolutionAttributes(node.attributes)),
    },
  },
  AveragePool: {
    shape: ([x], window) => [{ dtype: operand("AveragePool", x).dtype, shape: pooled("AveragePool", x, window) }],
    lower: { onnx: "AveragePool", attributes: (window) => ({ ...windowAttributes(window), count_include_pad: int(1) }) },
  },
  MaxPool: {
    // The maxima, and where they were found in the whole of x.
    shape: ([x], window) => {
      const shape = pooled("MaxPool", x, window);
      return [
        { dtype: operand("MaxPool", x).dtype, shape },
        { dtype: "int64", shape },
      ];
    },
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
  AdaptiveAveragePool2d: {
    shape: ([x], { size }) => {
      const { dtype, shape } = operand("AdaptiveAveragePool2d", x);
      if (shape.length !== 4 || typeof shape[2] !== "number" || typeof shape[3] !== "number") {
        throw new ShapeError(`AdaptiveAveragePool2d: expected [B, C, H, W] with known H and W, got ${formatShape(shape)}.`);
      }
      return [{ dtype, shape: [shape[0] ?? 0, shape[1] ?? 0, ...size] }];
    },
    lower: {
      portable: (inputs, { size }) => {
        const x = operand("AdaptiveAveragePool2d", inputs[0]);
        const [H, W] = [Number(x.shape[2]), Number(x.shape[3])];
        const rows = size[0] === H ? x : matmul(poolingMatrix(H, size[0], x.dtype), x);
        return size[1] === W ? rows : matmul(rows, poolingMatrix(W, size[1], x.dtype), { transB: true });
      },
    },
  },
};

/** [out, in]: row i holds 1/width in the columns floor(i·in/out) … ceil((i+1)·in/out), as torch bins them. */
function poolingMatrix(size: number, out: number, dtype: DataType): Value {
  const data = new Array<number>(out * size).fill(0);
  for (let i = 0; i < out; i += 1) {
    const [start, end] = [Math.floor((i * size) / out), Math.ceil(((i + 1) * size) / out)];
    data.fill(1 / (end - start), i * size + start, i * size + end);
  }
  return constant(data, { shape: [out, size], dtype });
}

/** 2-d convolution: x [B, C, H, W], weight [out, C/groups, kh, kw], bias [out]; pads are top, left, bottom, right. */
export function conv(x: Value, weight: Value, bias: Value | null = null, options: Partial<PictureAttributes["Conv"]> = {}): Value {
  const { strides = [1, 1], pads = [0, 0, 0, 0], dilations = [1, 1], groups = 1 } = options;
  return apply(pictureRules, "Conv", bias === null ? [x, weight] : [x, weight, bias], { strides, pads, dilations, groups });
}

type WindowOptions = Pick<Window, "kernel"> & Partial<Window>;
const windowOf = ({ kernel, strides = kernel, pads = [0, 0, 0, 0] }: WindowOptions): Window => ({ kernel, strides, pads });

export function averagePool(x: Value, options: WindowOptions): Value {
  return apply(pictureRules, "AveragePool", [x], windowOf(options));
}

export function maxPool(x: Value, options: WindowOptions): Value {
  return operand("MaxPool", applyAll(pictureRules, "MaxPool", [x], windowOf(options))[0]);
}

/** Bilinear sampling as torch's grid_sample: grid [B, h, w, (x, y)] in -1 … 1, align_corners false, zeros outside. */
export function gridSample(x: Value, grid: Value): Value {
  return apply(pictureRules, "GridSample", [x, grid], {});
}

/** Resizes pictures [B, C, H, W] to [height, width] as torch's interpolate does (cubic: a = -0.75). */
export function resize(
  x: Value,
  size: Pair,
  { mode = "linear", alignCorners = false, cubicCoefficient = -0.75 }: Partial<Omit<PictureAttributes["Resize"], "size">> = {},
): Value {
  return apply(pictureRules, "Resize", [x], { size, mode, alignCorners, cubicCoefficient });
}

/** Means over the bins of torch's AdaptiveAvgPool2d: x [B, C, H, W] → [B, C, height, width]. */
export function adaptiveAveragePool2d(x: Value, size: readonly [number, number]): Value {
  return apply(pictureRules, "AdaptiveAveragePool2d", [x], { size });
}
