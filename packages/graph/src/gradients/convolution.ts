/**
 * Gradients of convolution: y[b, o, p] = Σ weight[o, c, k] · x[b, c, p·stride + k·dilation − pad].
 *
 *     dy      [B, out, h, w]        x       [B, C, H, W]
 *     weight  [out, C/groups, kh, kw]
 */
import { type Dim, dimMul } from "../dim.ts";
import { depthwiseWeightGradient, partsMet } from "../ops/depthwise.ts";
import { gather, pad, slice } from "../ops/indexing.ts";
import { concat, reshape, transpose } from "../ops/movement.ts";
import { conv, type PictureAttributes } from "../ops/pictures.ts";
import { matmul } from "../ops/products.ts";
import { constant, type Value } from "../value.ts";
import { dilate } from "./movement.ts";
import { sidesOf } from "./side-matrix.ts";

type Convolution = PictureAttributes["Conv"];

/** Windows that meet without overlap: patches, which are rows of a plain product. */
function cutsPatches([kh, kw]: readonly [number, number], { strides, pads, dilations, groups }: Convolution): boolean {
  const plain = groups === 1 && pads.every((size) => size === 0) && dilations.every((step) => step === 1);
  return plain && kh * kw > 1 && strides[0] === kh && strides[1] === kw;
}

/** dx: the convolution of dy, spread by the strides, with the kernel turned around and its channels swapped. */
export function convInputGradient(dy: Value, x: Value, weight: Value, attributes: Convolution): Value {
  const { strides, pads, dilations, groups } = attributes;
  const [kernel, size] = [sidesOf("Conv", weight), sidesOf("Conv", x)];
  if (cutsPatches(kernel, attributes)) return patchInputGradient(dy, x, weight, kernel);
  let spread = dy;
  const zeros: [number, number, number, number] = [0, 0, 0, 0];
  for (const side of [0, 1] as const) {
    const axis = side + 2;
    const length = (Number(dy.shape[axis]) - 1) * strides[side] + 1;
    if (strides[side] > 1) spread = dilate(spread, axis, strides[side], length);
    const before = (kernel[side] - 1) * dilations[side] - pads[side];
    const after = size[side] + pads[side] - length;
    spread = padOrCut(spread, axis, Math.min(0, before), Math.min(0, after));
    [zeros[side], zeros[axis]] = [Math.max(0, before), Math.max(0, after)];
  }
  return conv(spread, turned(weight, groups), null, { pads: zeros, dilations, groups });
}

/** Zeros put around an axis; less than none cuts it. */
function padOrCut(x: Value, axis: number, before: number, after: number): Value {
  const kept = slice(x, { axis, start: Math.max(0, -before), end: Number(x.shape[axis]) - Math.max(0, -after) });
  const sizes = x.shape.map((_, i) => (i === axis ? ([Math.max(0, before), Math.max(0, after)] as const) : ([0, 0] as const)));
  return before > 0 || after > 0 ? pad(kept, sizes) : kept;
}

/** [out, C/groups, kh, kw] → [C, out/groups, kh, kw], both sides of the kernel backwards. */
function turned(weight: Value, groups: number): Value {
  const [out = 0, perGroup = 0, kh = 0, kw = 0] = weight.shape.map(Number);
  const swapped = transpose(reshape(weight, [groups, out / groups, perGroup, kh * kw]), [0, 2, 1, 3]);
  const backwards = Array.from({ length: kh * kw }, (_, i) => BigInt(kh * kw - 1 - i));
  const places = constant(backwards, { dtype: "int64" });
  return reshape(kh * kw === 1 ? swapped : gather(swapped, places, 3), [groups * perGroup, out / groups, kh, kw]);
}

/** d weight: for every place in the kernel, the part of x that it met times dy, summed over samples and windows. */
export function convWeightGradient(dy: Value, x: Value, weight: Value, attributes: Convolution): Value {
  const kernel = sidesOf("Conv", weight);
  if (cutsPatches(kernel, attributes)) return patchWeightGradient(dy, x, weight, kernel);
  const { groups } = attributes;
  const [out = 0, perGroup = 0] = weight.shape.map(Number);
  if (perGroup === 1 && out === groups) return depthwiseWeightGradient(dy, x, { kernel, ...attributes });
  const samples = dimMul(dy.shape[0] ?? 0, Number(dy.shape[2]) * Number(dy.shape[3]));
  const byChannel = (value: Value): Value => transpose(value, [1, 0, 2, 3]);
  const received = reshape(byChannel(dy), [groups, out / groups, samples]);
  const products = partsMet(byChannel(x), kernel, dy, attributes).map((part) =>
    reshape(matmul(received, reshape(part, [groups, perGroup, samples]), { transB: true }), [out, perGroup, 1]),
  );
  return reshape(concat(products, 2), weight.shape);
}

function patchWeightGradient(dy: Value, x: Value, weight: Value, [kh, kw]: readonly [number, number]): Value {
  const [B = 0, C = 0] = x.shape;
  const [, , h, w] = dy.shape;
  const [rows, columns] = [Number(h), Number(w)];
  const whole = slice(slice(x, { axis: 2, end: rows * kh }), { axis: 3, end: columns * kw });
  const patches = transpose(reshape(whole, [B, C, rows, kh, columns, kw]), [0, 2, 4, 1, 3, 5]);
  const count = dimMul(B, rows * columns);
  return reshape(matmul(rowsOf(dy), reshape(patches, [count, dimMul(C, kh * kw)]), { transA: true }), weight.shape);
}

function patchInputGradient(dy: Value, x: Value, weight: Value, [kh, kw]: readonly [number, number]): Value {
  const [B = 0, C = 0, H, W] = x.shape;
  const [, out = 0, h, w] = dy.shape;
  const [rows, columns] = [Number(h), Number(w)];
  const patches = reshape(matmul(rowsOf(dy), reshape(weight, [out, -1])), [B, rows, columns, C, kh, kw]);
  const joined = reshape(transpose(patches, [0, 3, 1, 4, 2, 5]), [B, C, rows * kh, columns * kw]);
  return padOrCut(padOrCut(joined, 2, 0, Number(H) - rows * kh), 3, 0, Number(W) - columns * kw);
}

/** [B, out, h, w] → [B·h·w, out] */
function rowsOf(dy: Value): Value {
  const [B = 0, out = 0, h = 0, w = 0] = dy.shape;
  return reshape(transpose(dy, [0, 2, 3, 1]), [[B, h, w].reduce(dimMul, 1 as Dim), out]);
}
