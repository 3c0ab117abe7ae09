/**
 * Depthwise convolution, one channel a group, in ONNX Runtime's blocked layout: 8 or 16 channels side by side, as many as
 * the processor has lanes. ONNX Runtime goes there by itself when the weights are constant; in training they are not, and
 * it computes each channel as a product of its own (256 channels, 32 × 12 × 12: 4.1 ms against 1.4, most of that reordering).
 */
import { dimMul, type Shape } from "../dim.ts";
import type { Emitter } from "../emitter.ts";
import { int, ints, type OnnxAttributes } from "../onnx-attributes.ts";
import { apply, operand, type Rules, type TypedNode } from "../op-rule.ts";
import type { Value } from "../value.ts";
import * as e from "./elementwise.ts";
import { pad, slice } from "./indexing.ts";
import { concat, reshape, transpose } from "./movement.ts";
import type { PictureAttributes } from "./pictures.ts";
import { reduceSum } from "./reductions.ts";

type Convolution = PictureAttributes["Conv"];
type Sides = readonly [number, number];
type KernelOf = Convolution & { readonly kernel: Sides };
export interface DepthwiseAttributes {
  DepthwiseWeightGradient: KernelOf;
}

export const depthwiseRules: Rules<DepthwiseAttributes> = {
  DepthwiseWeightGradient: {
    shape: ([dy], { kernel }) => {
      const { dtype, shape } = operand("DepthwiseWeightGradient", dy);
      return [{ dtype, shape: [shape[1] ?? 0, 1, ...kernel] }];
    },
    lower: {
      // Half the time of a product per channel (256 channels, 12 × 12, 3 × 3 kernel: 14.5 ms against 27.8).
      portable: (inputs, { kernel, ...attributes }) => {
        const [dy, x] = inputs.map((input) => operand("DepthwiseWeightGradient", input)) as [Value, Value];
        const C = dy.shape[1] ?? 0;
        const parts = partsMet(x, kernel, dy, attributes);
        const sums = parts.map((part) => reshape(reduceSum(e.mul(part, dy), { axes: [0, 2, 3] }), [C, 1]));
        return reshape(concat(sums, 1), [C, 1, ...kernel]);
      },
      fused: (emitter, _, node) => weightGradientInBlocks(emitter, node),
    },
  },
};

/** d weight [C, 1, kh, kw] of a depthwise convolution: dy [B, C, h, w], x [B, C, H, W]. */
export function depthwiseWeightGradient(dy: Value, x: Value, attributes: KernelOf): Value {
  return apply(depthwiseRules, "DepthwiseWeightGradient", [dy, x], attributes);
}

/** What each place of the kernel meets in every window: slices of x (padded), of dy's sides. The first two axes are free. */
export function partsMet(x: Value, kernel: Sides, dy: Value, { strides, pads, dilations }: Convolution): readonly Value[] {
  const padded = padSides(x, pads, 2);
  const met = (part: Value, side: 0 | 1, place: number): Value => {
    const start = place * dilations[side];
    const end = start + (Number(dy.shape[side + 2]) - 1) * strides[side] + 1;
    return slice(part, { axis: side + 2, start, end, step: strides[side] });
  };
  return Array.from({ length: kernel[0] * kernel[1] }, (_, k) => met(met(padded, 0, Math.floor(k / kernel[1])), 1, k % kernel[1]));
}

/** Zeros around the two axes from `first` on. */
function padSides(x: Value, [top, left, bottom, right]: Convolution["pads"], first: 1 | 2): Value {
  const none = [0, 0] as const;
  const sides = [[top, bottom] as const, [left, right] as const];
  return pad(x, first === 1 ? [none, ...sides, none] : [none, none, ...sides]);
}

export function convolutionAttributes({ strides, pads, dilations, groups }: Convolution): OnnxAttributes {
  return { strides: ints(strides), pads: ints(pads), dilations: ints(dilations), group: int(groups) };
}

const DOMAIN = "com.microsoft.nchwc";

/** The blocks exist in float32; on other processors not in every build of ONNX Runtime. */
function hasBlocks(emitter: Emitter, x: Value): boolean {
  const C = x.shape[1];
  return emitter.target === "onnxruntime" && process.arch === "x64" && x.dtype === "float32" && typeof C === "number" && C % 16 === 0;
}

/** null: not depthwise, or the weights are constant and ONNX Runtime's to arrange. */
export function depthwiseInBlocks(
  emitter: Emitter,
  [, weightName = "", ...bias]: readonly string[],
  { inputs, attributes }: TypedNode<Convolution>,
): readonly string[] | null {
  const [x, weight] = [operand("Conv", inputs[0]), operand("Conv", inputs[1])];
  const [out = 0, perGroup] = weight.shape;
  const constant = emitter.weights.has(weightName) || emitter.constants.has(weightName);
  if (constant || perGroup !== 1 || out !== attributes.groups || out !== x.shape[1] || !hasBlocks(emitter, x)) return null;
  const picture = x.node?.op === "Transpose" ? blocks(emitter, transpose(x, [0, 2, 3, 1]), true) : blocks(emitter, x, false);
  const filter = asFilter(emitter, blocks(emitter, reshape(weight, [1, out, ...weight.shape.slice(2)]), false), weight.shape);
  const y = emitter.node("Conv", [picture, filter, ...bias], convolutionAttributes(attributes), { domain: DOMAIN });
  const rows = emitter.node("ReorderOutput", y, { channels: int(Number(out)), channels_last: int(1) }, { domain: DOMAIN });
  return emitter.transpose(rows[0] ?? "", [0, 3, 1, 2]);
}

/**
 * The samples in one column, rows of zeros between them, so that they do not meet; then x, convolved with dy as its
 * kernel, gives all sums at once. null: not here, or windows that skip.
 */
function weightGradientInBlocks(emitter: Emitter, { inputs, attributes }: TypedNode<KernelOf>): readonly string[] | null {
  const [dy, x] = inputs.map((input) => operand("DepthwiseWeightGradient", input)) as [Value, Value];
  const { kernel, pads, strides, dilations, groups: C } = attributes;
  if (!hasBlocks(emitter, x) || [...strides, ...dilations].some((step) => step !== 1)) return null;
  const column = (picture: Value, zeros: Convolution["pads"]): Value => {
    const padded = padSides(transpose(picture, [0, 2, 3, 1]), zeros, 1);
    const [B = 0, H = 0, W = 0] = padded.shape;
    return reshape(padded, [1, dimMul(B, H), W, C]);
  };
  const below: Convolution["pads"] = [0, 0, kernel[0] - 1, 0];
  const received = column(dy, below);
  const [, H = 0, W = 0] = received.shape;
  const filter = asFilter(emitter, blocks(emitter, received, true), [C, 1, H, W]);
  const picture = blocks(emitter, column(x, pads), true);
  const sums = emitter.node("Conv", [picture, filter], convolutionAttributes({ ...attributes, pads: below }), { domain: DOMAIN });
  const result = emitter.node("ReorderOutput", sums, { channels: int(C) }, { domain: DOMAIN });
  return emitter.reshape(result[0] ?? "", [1, C, ...kernel], [C, 1, ...kernel]);
}

/** The blocks of [1, C, kh, kw] are those of a filter [C, 1, kh, kw]. */
function asFilter(emitter: Emitter, name: string, [C = 0, one = 0, kh = 0, kw = 0]: Shape): string {
  return emitter.reshape(name, [one, C, kh, kw], [C, one, kh, kw])[0] ?? "";
}

/** [B, C, H, W] or [B, H, W, C] → [B, C, H, W] whose memory is in blocks. */
function blocks(emitter: Emitter, picture: Value, channelsLast: boolean): string {
  return emitter.node("ReorderInput", [emitter.lower(picture)], { channels_last: int(channelsLast ? 1 : 0) }, { domain: DOMAIN })[0] ?? "";
}
