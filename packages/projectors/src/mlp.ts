/**
 * LLaVA's projectors: `depth` linear maps with an activation between them (`linear`: one map and none).
 *
 *     features  [B, N, C]
 *     linear_1  [B, N, D]
 *     linear_k  [B, N, D]   after the activation, k = 2 … depth
 *
 * state_dict  linear_1.weight [D, C] · linear_k.weight [D, D] · linear_k.bias [D] (unless `bias: false`)
 * paper       arXiv 2304.08485, 2310.03744       reference  transformers `LlavaMultiModalProjector`
 */
import type { Value } from "@waggle/graph";
import { type ActivationName, activation, ConfigError, checkOptions, Linear, Module } from "@waggle/nn";
import { checkFeatures, type Projector, type ProjectorFactory } from "./projector.ts";
import { torchLinear } from "./torch-linear.ts";

export interface MlpOptions {
  /** Linear maps, at most 64. Default 2. */
  readonly depth?: number;
  /** Default "gelu". */
  readonly act?: ActivationName;
  /** Default true. */
  readonly bias?: boolean;
}

export function mlp(options: MlpOptions = {}): ProjectorFactory {
  checkOptions("mlp", options, ["depth", "act", "bias"]);
  const { depth = 2, act = "gelu", bias = true } = options;
  if (!(Number.isInteger(depth) && depth >= 1 && depth <= 64)) {
    throw new ConfigError("mlp", [{ field: "depth", message: `expected a whole number from 1 to 64, got ${depth}.` }]);
  }
  const between = activation(act);
  return (vision_hidden_size, text_hidden_size) => new MlpProjector(vision_hidden_size, text_hidden_size, { depth, between, bias });
}

export function linear(options: Pick<MlpOptions, "bias"> = {}): ProjectorFactory {
  checkOptions("linear", options, ["bias"]);
  return mlp({ ...options, depth: 1 });
}

interface Layers {
  readonly depth: number;
  readonly between: (x: Value) => Value;
  readonly bias: boolean;
}

export class MlpProjector<C extends number, D extends number> extends Module implements Projector<C, D> {
  readonly vision_hidden_size: C;
  readonly text_hidden_size: D;
  readonly #between: (x: Value) => Value;

  constructor(vision_hidden_size: C, text_hidden_size: D, { depth, between, bias }: Layers) {
    super();
    this.vision_hidden_size = vision_hidden_size;
    this.text_hidden_size = text_hidden_size;
    this.#between = between;
    for (let k = 1; k <= depth; k++) {
      const layer = torchLinear(k === 1 ? vision_hidden_size : text_hidden_size, text_hidden_size, bias);
      Object.assign(this, { [`linear_${k}`]: layer });
    }
  }

  /** One token per patch. */
  tokenCount(patches: number): number {
    return patches;
  }

  forward(features: Value): Value {
    checkFeatures("MlpProjector", features, this.vision_hidden_size);
    const layers = [...this.namedChildren()].flatMap(([, child]) => (child instanceof Linear ? [child] : []));
    return layers.reduce((x, layer, index) => layer.forward(index === 0 ? x : this.#between(x)), features);
  }
}

/**
 * Keys of the original LLaVA code in this module's spelling: `mm_projector.0.weight`, `.2.weight`, … (a Sequential with
 * the activations in between) or, for the linear projector, `mm_projector.weight` → `linear_1.weight`, `linear_2.weight`, …
 * Keys of other parts: null. What stands before `mm_projector.` differs between releases and is dropped.
 */
export function originalMlpKey(key: string): string | null {
  const match = /(?:^|\.)mm_projector\.(?:(\d+)\.)?(weight|bias)$/.exec(key);
  if (match === null) return null;
  const index = Number(match[1] ?? 0);
  return index % 2 === 0 ? `linear_${index / 2 + 1}.${match[2]}` : key;
}
