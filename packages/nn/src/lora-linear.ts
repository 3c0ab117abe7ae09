/**
 * A linear layer with a low-rank one beside it, which learns while the layer itself stays as it is.
 *
 *     y = x·Wᵀ + b + scaling · (x·Aᵀ)·Bᵀ          scaling = lora_alpha / r, or lora_alpha / √r
 *
 * state_dict  weight [out, in] · bias [out] · lora_A.weight [r, in] · lora_B.weight [out, r]
 * paper       arXiv 2106.09685, 2312.03732 (rank-stabilised)       reference  peft `lora.Linear`
 */
import { constant, ops, type Value } from "@waggle/graph";
import { ConfigError, type ConfigProblem, checkOptions } from "./config-error.ts";
import { type Init, zeros } from "./init.ts";
import { initializeParameter } from "./initialize.ts";
import { Linear } from "./linear.ts";
import { Module } from "./module.ts";
import { Parameter } from "./parameter.ts";
import { replaceModules } from "./replace-modules.ts";

export interface LoraOptions {
  /** As PEFT's: names that paths of linear layers end in, or one regular expression for whole paths. */
  readonly target_modules: string | readonly string[];
  readonly r: number;
  readonly lora_alpha: number;
  /** Default 0. */
  readonly lora_dropout?: number;
  /** Scales by √r instead of r. Default false. */
  readonly use_rslora?: boolean;
}

/** One of the two matrices, named as PEFT names it. */
class LoraMatrix extends Module {
  readonly weight: Parameter;

  constructor(shape: readonly [number, number], init: Init) {
    super();
    this.weight = new Parameter(shape, { init });
  }
}

export class LoraLinear extends Linear {
  readonly lora_A: LoraMatrix;
  readonly lora_B: LoraMatrix;
  readonly scaling: number;

  constructor(base: Linear, { r, lora_alpha, use_rslora = false }: LoraOptions) {
    super(base.in_features, base.out_features, { weight: base.weight, bias: base.bias ?? false });
    this.lora_A = new LoraMatrix([r, base.in_features], kaimingUniform);
    this.lora_B = new LoraMatrix([base.out_features, r], zeros);
    this.scaling = lora_alpha / (use_rslora ? Math.sqrt(r) : r);
  }

  override forward(x: Value): Value {
    const low = ops.linear(ops.linear(x, this.lora_A.weight, null), this.lora_B.weight, null);
    return ops.add(super.forward(x), ops.mul(low, constant(this.scaling)));
  }
}

/** torch's `kaiming_uniform_(a=√5)`: uniform in ± 1/√fan_in. */
const kaimingUniform: Init = {
  description: "kaimingUniform(√5)",
  fill(values, [, fanIn = 1], random) {
    const bound = 1 / Math.sqrt(fanIn);
    for (let i = 0; i < values.length; i++) values[i] = bound * (2 * random.uniform() - 1);
  },
};

/** Puts a fresh pair of matrices beside every linear layer that `target_modules` names. @throws ConfigError where it names none */
export function addLora(root: Module, options: LoraOptions & { readonly seed: number }): void {
  checkOptions("addLora", options, ["target_modules", "r", "lora_alpha", "lora_dropout", "use_rslora", "seed"]);
  const { target_modules: targets, r, lora_alpha, seed } = options;
  const problems: ConfigProblem[] = [];
  if (!(Number.isInteger(r) && r >= 1)) problems.push({ field: "r", message: `expected a whole number ≥ 1, got ${r}.` });
  if (!Number.isFinite(lora_alpha)) problems.push({ field: "lora_alpha", message: `expected a number, got ${lora_alpha}.` });
  const rules =
    typeof targets === "string"
      ? [new RegExp(`^(${targets})$`)]
      : targets.map((name) => new RegExp(`(^|\\.)${name.replaceAll(".", "\\.")}$`));
  const linears = [...root.namedModules()].flatMap(([path, module]) => (module instanceof Linear ? [path] : []));
  rules.forEach((rule, i) => {
    if (linears.some((path) => rule.test(path))) return;
    const named = typeof targets === "string" ? targets : targets[i];
    problems.push({
      field: "target_modules",
      message: `${named} names no linear layer. There are ${[...new Set(linears.map((path) => path.split(".").at(-1)))].join(", ")}.`,
    });
  });
  if (problems.length > 0) throw new ConfigError("addLora", problems);
  replaceModules(root, (path, module) => {
    if (!(module instanceof Linear) || module instanceof LoraLinear || !rules.some((rule) => rule.test(path))) return module;
    const layer = new LoraLinear(module, options);
    initializeParameter(layer.lora_A.weight, `${path}.lora_A.weight`, seed);
    initializeParameter(layer.lora_B.weight, `${path}.lora_B.weight`, seed);
    return layer;
  });
}
