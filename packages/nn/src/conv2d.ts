/**
 * Two-dimensional convolution, as PyTorch's `Conv2d`.
 *
 *     x        [B, in, H, W]
 *     forward  [B, out, H', W']
 *
 * state_dict  weight [out, in / groups, kh, kw] · bias [out] (unless `bias: false`)
 */
import { ops, type Value } from "@waggle/graph";
import { ConfigError, checkOptions } from "./config-error.ts";
import { type Init, zeros } from "./init.ts";
import { Module } from "./module.ts";
import { Parameter } from "./parameter.ts";

/** One number for both axes, or [rows, columns]. */
export type Pair = number | readonly [number, number];

export interface Conv2dOptions {
  readonly kernel_size: Pair;
  readonly stride?: Pair;
  /** Zeros on every side, or "same": as many as keep the size (stride 1 only). */
  readonly padding?: Pair | "same";
  readonly dilation?: Pair;
  readonly groups?: number;
  /** Default true. A parameter is shared with whoever else holds it. */
  readonly bias?: boolean | Parameter;
  /** Of the weight. */
  readonly init?: Init;
}

export class Conv2d extends Module {
  readonly stride: readonly [number, number];
  readonly dilation: readonly [number, number];
  /** Top, left, bottom, right. */
  readonly pads: readonly [number, number, number, number];
  readonly groups: number;
  readonly weight: Parameter;
  readonly bias: Parameter | null;

  constructor(in_channels: number, out_channels: number, options: Conv2dOptions) {
    super();
    checkOptions("Conv2d", options, ["kernel_size", "stride", "padding", "dilation", "groups", "bias", "init"]);
    const { padding = 0, groups = 1, bias = true, init } = options;
    if (in_channels % groups !== 0 || out_channels % groups !== 0) {
      throw new ConfigError("Conv2d", [{ field: "groups", message: `${groups} must divide ${in_channels} and ${out_channels} channels.` }]);
    }
    const kernel = pair(options.kernel_size);
    this.stride = pair(options.stride ?? 1);
    this.dilation = pair(options.dilation ?? 1);
    this.pads = padding === "same" ? this.#samePads(kernel) : [...pair(padding), ...pair(padding)];
    this.groups = groups;
    this.weight = new Parameter([out_channels, in_channels / groups, ...kernel], init && { init });
    if (typeof bias !== "boolean") this.bias = bias;
    else this.bias = bias ? new Parameter([out_channels], { init: zeros }) : null;
  }

  forward(x: Value): Value {
    const { stride, pads, dilation, groups } = this;
    return ops.conv(x, this.weight, this.bias, { strides: stride, pads, dilations: dilation, groups });
  }

  #samePads([height, width]: readonly [number, number]): [number, number, number, number] {
    if (this.stride[0] !== 1 || this.stride[1] !== 1) {
      throw new ConfigError("Conv2d", [{ field: "padding", message: `"same" needs stride 1, got [${this.stride}].` }]);
    }
    // An odd total leaves the extra zero at the bottom and the right, as PyTorch does.
    const rows = this.dilation[0] * (height - 1);
    const columns = this.dilation[1] * (width - 1);
    return [Math.floor(rows / 2), Math.floor(columns / 2), Math.ceil(rows / 2), Math.ceil(columns / 2)];
  }
}

function pair(value: Pair): readonly [number, number] {
  return typeof value === "number" ? [value, value] : value;
}
