/**
 * What Honeybee's `mlp` and `c-abs` projectors share: normalise, add positions, run the net, append end tokens.
 *
 *     x        [B, N, C]
 *     prenorm  [B, N, C]      LayerNorm, eps 1e-6 (optional)
 *     pos_emb  [B, N, C]      added (optional)
 *     net      [B, M, D]      the projector itself
 *     eos      [B, M + n, D]  n learned tokens at the end of the token axis (optional)
 *
 * state_dict  prenorm.{weight,bias} [C] · pos_emb [1, N, C] · eos_tokens [1, n, D]
 * reference   honeybee `Projector` (projectors.py)
 */
import { ops, type Value } from "@waggle/graph";
import { LayerNorm, Module, Parameter, truncatedNormal } from "@waggle/nn";
import { checkFeatures, type Projector } from "./projector.ts";

export interface AbstractorOptions {
  /** Learned positions. Default true for C-Abstractor, false for the MLP. */
  readonly pos_emb?: boolean;
  /** LayerNorm in front of everything. Default false. */
  readonly prenorm?: boolean;
  /** Learned tokens after the visual ones. Default 0. */
  readonly num_eos_tokens?: number;
}

export abstract class Abstractor<C extends number, D extends number> extends Module implements Projector<C, D> {
  readonly vision_hidden_size: C;
  readonly text_hidden_size: D;
  readonly num_eos_tokens: number;
  readonly prenorm: LayerNorm | null;
  readonly pos_emb: Parameter | null;
  readonly eos_tokens: Parameter | null;

  constructor(vision_hidden_size: C, text_hidden_size: D, patches: number, options: AbstractorOptions) {
    super();
    const { pos_emb = false, prenorm = false, num_eos_tokens = 0 } = options;
    this.vision_hidden_size = vision_hidden_size;
    this.text_hidden_size = text_hidden_size;
    this.num_eos_tokens = num_eos_tokens;
    const init = truncatedNormal(0.02, { bound: 100 });
    this.prenorm = prenorm ? new LayerNorm(vision_hidden_size, { eps: 1e-6 }) : null;
    this.pos_emb = pos_emb ? new Parameter([1, patches, vision_hidden_size], { init }) : null;
    this.eos_tokens = num_eos_tokens > 0 ? new Parameter([1, num_eos_tokens, text_hidden_size], { init }) : null;
  }

  protected abstract project(x: Value): Value;
  abstract tokenCount(patches: number): number;

  forward(features: Value): Value {
    const [B] = checkFeatures(this.constructor.name, features, this.vision_hidden_size, this.pos_emb?.shape[1] ?? null);
    const normed = this.prenorm?.forward(features) ?? features;
    const tokens = this.project(this.pos_emb === null ? normed : ops.add(normed, this.pos_emb));
    if (this.eos_tokens === null) return tokens;
    return ops.concat([tokens, ops.expand(this.eos_tokens, [B, this.num_eos_tokens, this.text_hidden_size])], 1);
  }
}
