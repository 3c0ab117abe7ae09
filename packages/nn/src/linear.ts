/**
 * y = x·Wᵀ + b, over the last axis.
 *
 *     x        […, in]
 *     forward  […, out]
 *
 * state_dict  weight [out, in] · bias [out] (unless `bias: false`)
 *
 * `forward` is the only place where a weight matrix multiplies. A LoRA pair or a quantised base is a subclass that
 * overrides it, and is put in place with {@link replaceModules}; no model knows the difference.
 */
import { ops, type Value } from "@waggle/graph";
import { ConfigError, checkOptions } from "./config-error.ts";
import { type Init, zeros } from "./init.ts";
import { Module } from "./module.ts";
import { Parameter } from "./parameter.ts";

export interface LinearOptions {
  /** Default true. A parameter is shared with whoever else holds it. */
  readonly bias?: boolean | Parameter;
  /** A parameter to share, for example the embedding's in a tied head; default: one of its own. */
  readonly weight?: Parameter;
  /** Of the weight. */
  readonly init?: Init;
}

export class Linear extends Module {
  readonly in_features: number;
  readonly out_features: number;
  readonly weight: Parameter;
  readonly bias: Parameter | null;

  constructor(in_features: number, out_features: number, options: LinearOptions = {}) {
    super();
    checkOptions("Linear", options, ["bias", "weight", "init"]);
    const { bias = true, weight, init } = options;
    this.in_features = in_features;
    this.out_features = out_features;
    this.weight = weight ?? new Parameter([out_features, in_features], init && { init });
    if (typeof bias !== "boolean") this.bias = bias;
    else this.bias = bias ? new Parameter([out_features], { init: zeros }) : null;
    checkShape("weight", this.weight, [out_features, in_features]);
    if (this.bias !== null) checkShape("bias", this.bias, [out_features]);
  }

  forward(x: Value): Value {
    return ops.linear(x, this.weight, this.bias);
  }
}

function checkShape(name: string, { shape }: Parameter, expected: readonly number[]): void {
  if (shape.length === expected.length && shape.every((size, axis) => size === expected[axis])) return;
  throw new ConfigError("Linear", [{ field: name, message: `expected a parameter of shape [${expected}], got [${shape}].` }]);
}
