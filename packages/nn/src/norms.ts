/**
 * Normalisation over the last axis.
 *
 *     LayerNorm  (x − mean) / √(variance + eps) · weight + bias, variance divided by n
 *     RMSNorm    x / √(mean(x²) + eps) · weight
 *
 * state_dict  weight [width] · bias [width] (LayerNorm, unless `bias: false`)
 */
import { ops, type Value } from "@waggle/graph";
import { checkOptions } from "./config-error.ts";
import { ones, zeros } from "./init.ts";
import { Module } from "./module.ts";
import { Parameter } from "./parameter.ts";

export interface LayerNormOptions {
  /** Default 1e-5, as in PyTorch. */
  readonly eps?: number;
  readonly bias?: boolean;
}

export class LayerNorm extends Module {
  readonly eps: number;
  readonly weight: Parameter;
  readonly bias: Parameter | null;

  constructor(width: number, options: LayerNormOptions = {}) {
    super();
    checkOptions("LayerNorm", options, ["eps", "bias"]);
    const { eps = 1e-5, bias = true } = options;
    this.eps = eps;
    this.weight = new Parameter([width], { init: ones });
    this.bias = bias ? new Parameter([width], { init: zeros }) : null;
  }

  forward(x: Value): Value {
    return ops.layerNorm(x, this.weight, this.bias, { epsilon: this.eps });
  }
}

export interface RMSNormOptions {
  /** Default 1e-6, as in transformers. */
  readonly eps?: number;
}

export class RMSNorm extends Module {
  readonly eps: number;
  readonly weight: Parameter;

  constructor(width: number, options: RMSNormOptions = {}) {
    super();
    checkOptions("RMSNorm", options, ["eps"]);
    this.eps = options.eps ?? 1e-6;
    this.weight = new Parameter([width], { init: ones });
  }

  forward(x: Value): Value {
    return ops.rmsNorm(x, this.weight, { epsilon: this.eps });
  }
}
