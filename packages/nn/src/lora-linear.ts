/**
 * A linear layer with a low-rank update beside it: y = W·x + b + s · B·A·drop(x), s = α / r, or α / √r (rank-stabilised).
 *
 *     x        […, in]
 *     A        […, r]      s · A · drop(x): scaled where the tensors are small
 *     forward  […, out]
 *
 * state_dict  what the layer had (weight, bias) · lora_A.weight [r, in] · lora_B.weight [out, r]
 * paper       arXiv 2106.09685, 2312.03732 (rank-stabilised)      reference  peft `lora.Linear`
 */
import { ops, type Value } from "@waggle/graph";
import { ConfigError, type ConfigProblem, checkOptions } from "./config-error.ts";
import { dropout } from "./dropout.ts";
import { kaimingUniform, zeros } from "./init.ts";
import { Linear } from "./linear.ts";
import type { Module } from "./module.ts";

/** The numbers of one pair, by PEFT's names. */
export interface LoraShape {
  /** Rank. */
  readonly r: number;
  readonly lora_alpha: number;
  /** How much of x the pair does not see in training, 0 ≤ p < 1; see {@link setDropoutSeed}. Default 0. */
  readonly lora_dropout?: number;
  /** Scale by α / √r instead of α / r. Default false. */
  readonly use_rslora?: boolean;
}

export const loraShapeNames: readonly (keyof LoraShape)[] = ["r", "lora_alpha", "lora_dropout", "use_rslora"];

/** Stands in the place of `base`, whose parameters it shares; B is zero at first, so nothing changes until it learns. */
export class LoraLinear extends Linear {
  readonly r: number;
  readonly lora_alpha: number;
  readonly lora_dropout: number;
  readonly use_rslora: boolean;
  readonly lora_A: Linear;
  readonly lora_B: Linear;
  readonly #base: Linear;
  #drop: ((x: Value) => Value) | null = null;

  constructor(base: Linear, options: LoraShape) {
    checkOptions("LoraLinear", options, loraShapeNames);
    refuse("LoraLinear", shapeProblems(options));
    const { in_features, out_features, weight, bias } = base;
    super(in_features, out_features, { weight, bias: bias ?? false });
    const { r, lora_alpha, lora_dropout = 0, use_rslora = false } = options;
    this.r = r;
    this.lora_alpha = lora_alpha;
    this.lora_dropout = lora_dropout;
    this.use_rslora = use_rslora;
    this.lora_A = new Linear(in_features, r, { bias: false, init: kaimingUniform(Math.sqrt(5)) });
    this.lora_B = new Linear(r, out_features, { bias: false, init: zeros });
    this.#base = base;
  }

  /** Is its pair one of these numbers? */
  has({ r, lora_alpha, lora_dropout = 0, use_rslora = false }: LoraShape): boolean {
    return r === this.r && lora_alpha === this.lora_alpha && lora_dropout === this.lora_dropout && use_rslora === this.use_rslora;
  }

  get scaling(): number {
    return this.lora_alpha / (this.use_rslora ? Math.sqrt(this.r) : this.r);
  }

  /** From now on x is dropped by this seed's mask of this layer's own stream; null: not at all. */
  dropBy(seed: Value | null, stream: string): void {
    const p = this.lora_dropout;
    this.#drop = seed === null || p === 0 ? null : (x) => dropout(x, { p, seed, stream });
  }

  override forward(x: Value): Value {
    const kept = this.#drop === null ? 1 : 1 - this.lora_dropout;
    const low = this.lora_A.forward(this.#drop?.(x) ?? x);
    return ops.add(this.#base.forward(x), this.lora_B.forward(ops.mul(low, this.scaling / kept)));
  }
}

/**
 * Switches the dropout of every LoRA pair below the root on, for graphs that are written from now on; null (as a module
 * begins) switches it off. `seed` is an int64 number ≥ 0, usually a graph input: the mask is a function of it, of the
 * layer's path and of the element's place, so a step done again drops the same.
 */
export function setDropoutSeed(root: Module, seed: Value | null): void {
  const seen = new Set<Module>();
  for (const [path, module] of root.namedModules()) {
    if (!(module instanceof LoraLinear) || seen.has(module)) continue;
    seen.add(module);
    module.dropBy(seed, path);
  }
}

export function shapeProblems({ r, lora_alpha, lora_dropout, use_rslora }: LoraShape): readonly ConfigProblem[] {
  const checks: readonly (readonly [boolean, string, string, unknown])[] = [
    [Number.isSafeInteger(r) && r >= 1, "r", "an integer ≥ 1", r],
    [Number.isFinite(lora_alpha) && lora_alpha > 0, "lora_alpha", "a number > 0", lora_alpha],
    [lora_dropout === undefined || (lora_dropout >= 0 && lora_dropout < 1), "lora_dropout", "0 ≤ p < 1", lora_dropout],
    [use_rslora === undefined || typeof use_rslora === "boolean", "use_rslora", "true or false", use_rslora],
  ];
  return checks.flatMap(([right, field, expected, got]) =>
    right ? [] : [{ field, message: `expected ${expected}, got ${String(got)}.` }],
  );
}

export function refuse(where: string, problems: readonly ConfigProblem[]): void {
  if (problems.length > 0) throw new ConfigError(where, problems);
}
