/**
 * A stage of RegNet bottleneck blocks with squeeze-and-excite, as C-Abstractor uses them (groups of one channel, so the
 * 3×3 convolution is depthwise; bottleneck ratio 1). Works on rows of patches, so that the 1×1 convolutions are products.
 *
 *     x      [B, H·W, in]
 *     conv1  1×1 → LN → SiLU                      [B, H·W, width]
 *     conv2  3×3 depthwise → LN → SiLU            [B, H·W, width]
 *     se     · σ(fc2(SiLU(fc1(mean over H, W))))  [B, H·W, width]   fc1 has round(in / 4) channels
 *     conv3  1×1 → LN                             [B, H·W, width]
 *     out    SiLU(conv3 + x), x through `downsample` (1×1 → LN) where the widths differ
 *
 * state_dict  b{i}.conv{1,3}.conv.weight [width, in, 1, 1] · b{i}.conv2.conv.weight [width, 1, 3, 3] · b{i}.conv{k}.bn.{weight,bias}
 *             b{i}.se.fc{1,2}.{weight,bias} · b1.downsample.{conv.weight,bn.*} where in ≠ width
 * paper       arXiv 2312.06742, section 3.2       reference  timm 0.9.8 `RegStage`, `Bottleneck`, norm `LayerNorm2d` (eps 1e-5)
 */
import { ops, shapeOf, type Value } from "@waggle/graph";
import { Conv2d, LayerNorm, Module } from "@waggle/nn";
import type { Grid } from "./projector.ts";

/** A 1×1 convolution on rows: the weight [out, in, 1, 1] is a linear map. */
function pointwise({ weight, bias }: Conv2d, x: Value): Value {
  const [out, into] = shapeOf(weight, "out in kh kw");
  return ops.linear(x, ops.reshape(weight, [out, into]), bias);
}

/** Convolution without bias, then LayerNorm over the channels (the key says `bn`). */
class ConvNorm extends Module {
  readonly conv: Conv2d;
  readonly bn: LayerNorm;

  constructor(into: number, out: number, { depthwise = false }: { readonly depthwise?: boolean } = {}) {
    super();
    this.conv = new Conv2d(
      into,
      out,
      depthwise ? { kernel_size: 3, padding: 1, groups: out, bias: false } : { kernel_size: 1, bias: false },
    );
    this.bn = new LayerNorm(out, { eps: 1e-5 });
  }

  rows(x: Value): Value {
    return this.bn.forward(pointwise(this.conv, x));
  }

  picture(x: Value, { rows, columns }: Grid): Value {
    const [B, , C] = shapeOf(x, "B N? C");
    const picture = ops.transpose(ops.reshape(x, [B, rows, columns, C]), [0, 3, 1, 2]);
    return this.bn.forward(asRows(this.conv.forward(picture)));
  }
}

/** [B, C, H, W] → [B, H·W, C] */
function asRows(picture: Value): Value {
  const [B, C, H, W] = shapeOf(picture, "B C H W");
  return ops.reshape(ops.transpose(picture, [0, 2, 3, 1]), [B, H * W, C]);
}

class SqueezeExcite extends Module {
  readonly fc1: Conv2d;
  readonly fc2: Conv2d;

  constructor(width: number, reduced: number) {
    super();
    this.fc1 = new Conv2d(width, reduced, { kernel_size: 1 });
    this.fc2 = new Conv2d(reduced, width, { kernel_size: 1 });
  }

  forward(x: Value): Value {
    const mean = ops.reduceMean(x, { axes: [1], keepDims: true });
    return ops.mul(x, ops.sigmoid(pointwise(this.fc2, ops.silu(pointwise(this.fc1, mean)))));
  }
}

export class Bottleneck extends Module {
  readonly conv1: ConvNorm;
  readonly conv2: ConvNorm;
  readonly se: SqueezeExcite;
  readonly conv3: ConvNorm;
  readonly downsample: ConvNorm | null;

  constructor(into: number, width: number) {
    super();
    this.conv1 = new ConvNorm(into, width);
    this.conv2 = new ConvNorm(width, width, { depthwise: true });
    this.se = new SqueezeExcite(width, roundHalfEven(into / 4));
    this.conv3 = new ConvNorm(width, width);
    this.downsample = into === width ? null : new ConvNorm(into, width);
  }

  forward(x: Value, grid: Grid): Value {
    const narrow = ops.silu(this.conv1.rows(x));
    const mixed = this.se.forward(ops.silu(this.conv2.picture(narrow, grid)));
    return ops.silu(ops.add(this.conv3.rows(mixed), this.downsample?.rows(x) ?? x));
  }
}

/** Blocks b1, b2 … */
export class RegStage extends Module {
  constructor(depth: number, into: number, width: number) {
    super();
    for (let i = 1; i <= depth; i++) Object.assign(this, { [`b${i}`]: new Bottleneck(i === 1 ? into : width, width) });
  }

  forward(x: Value, grid: Grid): Value {
    return [...this.namedChildren()].reduce((rows, [, block]) => (block instanceof Bottleneck ? block.forward(rows, grid) : rows), x);
  }
}

/** Python's round, which timm sizes the squeeze with: halves go to the even neighbour. */
function roundHalfEven(x: number): number {
  const floor = Math.floor(x);
  return x - floor === 0.5 ? floor + (floor % 2) : Math.round(x);
}

/** [B, H·W, C] → [B, h·w, C]: the means over the bins of AdaptiveAvgPool2d; first of rows, W·C wide, then of columns, C wide. */
export function pooledRows(x: Value, from: Grid, to: Grid): Value {
  if (from.rows === to.rows && from.columns === to.columns) return x;
  const [B, , C] = shapeOf(x, "B N? C");
  const width = from.columns * C;
  const fewerRows = ops.adaptiveAveragePool2d(ops.reshape(x, [B, 1, from.rows, width]), [to.rows, width]);
  const fewerColumns = ops.adaptiveAveragePool2d(ops.reshape(fewerRows, [B, to.rows, from.columns, C]), [to.columns, C]);
  return ops.reshape(fewerColumns, [B, to.rows * to.columns, C]);
}
