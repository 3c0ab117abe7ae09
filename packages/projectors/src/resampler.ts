/**
 * Resampler (perceiver style, as in mPLUG-Owl): M learned queries gather the features by cross-attention.
 *
 *     x      [B, N, C]                     (+ pos_emb)
 *     e      [B, N, H]                     visual_input_fc
 *     h      [B, M, H]                     query_tokens
 *     layer  q = norm1(h), k = v = [q, normk(e)]
 *            h = q + out_proj(attention)   the residual is the normalised h
 *            h = h + w2(ffn_ln(SiLU(w1·n) ⊙ w3·n)), n = norm2(h)
 *     out    [B, M, D]                     visual_output_fc, then vit_eos at the end (optional)
 *
 * state_dict  query_tokens [1, M, H] · visual_input_fc · visual_output_fc · pos_emb [1, N, C] · vit_eos [1, n, D]
 *             encoder.layers.{i}.crossattention.{attention.{query,key,value},norm1,normk,output.{out_proj,norm2,mlp.{w1,w2,w3,ffn_ln}}}
 * paper       arXiv 2304.14178 (mPLUG-Owl), 2312.06742 (baseline)       reference  honeybee `HoneybeeVisualProjectorModel`
 */
import { ops, type Value } from "@waggle/graph";
import { checkOptions, LayerNorm, Linear, Module, ModuleDict, ModuleList, normal, Parameter, truncatedNormal } from "@waggle/nn";
import { attentionWeights, multiHeadAttention } from "./multi-head-attention.ts";
import { checkFeatures, type Grid, type Projector, type ProjectorFactory, wholeNumbers } from "./projector.ts";
import type { ProjectorMaps } from "./projector-maps.ts";

export interface ResamplerOptions {
  /** M: visual tokens. */
  readonly tokens: number;
  /** H. Default 1024. */
  readonly hidden_size?: number;
  readonly num_hidden_layers?: number;
  readonly num_attention_heads?: number;
  readonly intermediate_size?: number;
  /** Epsilon of ffn_ln; the other norms have 1e-5. Default 1e-6. */
  readonly layer_norm_eps?: number;
  readonly pos_emb?: boolean;
  readonly num_eos_tokens?: number;
}

const defaults = {
  hidden_size: 1024,
  num_hidden_layers: 6,
  num_attention_heads: 16,
  intermediate_size: 4096,
  layer_norm_eps: 1e-6,
  pos_emb: false,
  num_eos_tokens: 0,
};

export function resampler(options: ResamplerOptions): ProjectorFactory {
  checkOptions("resampler", options, ["tokens", ...Object.keys(defaults)] as never);
  const { tokens, hidden_size, num_hidden_layers, num_attention_heads, intermediate_size, num_eos_tokens } = { ...defaults, ...options };
  wholeNumbers("resampler", {
    tokens: [tokens, 1, 65_536],
    hidden_size: [hidden_size, 1, 65_536],
    num_hidden_layers: [num_hidden_layers, 1, 256],
    num_attention_heads: [num_attention_heads, 1, 1024],
    "hidden_size / num_attention_heads": [hidden_size / num_attention_heads, 1, 65_536],
    intermediate_size: [intermediate_size, 1, 262_144],
    num_eos_tokens: [num_eos_tokens, 0, 4096],
  });
  return (C, D, grid) => new Resampler(C, D, grid, options);
}

type Sizes = Required<ResamplerOptions>;

class GatedMlp extends Module {
  readonly w1: Linear;
  readonly w2: Linear;
  readonly w3: Linear;
  readonly ffn_ln: LayerNorm;

  constructor({ hidden_size: H, intermediate_size: I, layer_norm_eps: eps }: Sizes) {
    super();
    this.w1 = new Linear(H, I);
    this.w2 = new Linear(I, H);
    this.w3 = new Linear(H, I);
    this.ffn_ln = new LayerNorm(I, { eps });
  }

  forward(x: Value): Value {
    return this.w2.forward(this.ffn_ln.forward(ops.mul(ops.silu(this.w1.forward(x)), this.w3.forward(x))));
  }
}

class CrossAttention extends Module {
  readonly #heads: number;
  readonly attention: ModuleDict<{ query: Linear; key: Linear; value: Linear }>;
  readonly norm1: LayerNorm;
  readonly normk: LayerNorm;
  readonly output: ModuleDict<{ out_proj: Linear; norm2: LayerNorm; mlp: GatedMlp }>;

  constructor(sizes: Sizes) {
    super();
    const { hidden_size: H } = sizes;
    this.#heads = sizes.num_attention_heads;
    this.attention = new ModuleDict({ query: new Linear(H, H), key: new Linear(H, H), value: new Linear(H, H) });
    this.norm1 = new LayerNorm(H);
    this.normk = new LayerNorm(H);
    this.output = new ModuleDict({ out_proj: new Linear(H, H), norm2: new LayerNorm(H), mlp: new GatedMlp(sizes) });
  }

  /** h [B, M, H], e [B, N, H] → h and the attention over [h, e], [B, heads, M, M + N] */
  forward(h: Value, e: Value): { readonly hidden: Value; readonly weights: () => Value } {
    const normed = this.norm1.forward(h);
    const both = ops.concat([normed, this.normk.forward(e)], 1);
    const [q, k] = [this.attention.query.forward(normed), this.attention.key.forward(both)];
    const mixed = multiHeadAttention(q, k, this.attention.value.forward(both), this.#heads);
    const x = ops.add(normed, this.output.out_proj.forward(mixed));
    const hidden = ops.add(x, this.output.mlp.forward(this.output.norm2.forward(x)));
    return { hidden, weights: () => attentionWeights(q, k, this.#heads) };
  }
}

export class Resampler<C extends number, D extends number> extends Module implements Projector<C, D> {
  readonly vision_hidden_size: C;
  readonly text_hidden_size: D;
  readonly query_tokens: Parameter;
  readonly pos_emb: Parameter | null;
  readonly visual_input_fc: Linear;
  readonly encoder: ModuleDict<{ layers: ModuleList<ModuleDict<{ crossattention: CrossAttention }>> }>;
  readonly visual_output_fc: Linear;
  readonly vit_eos: Parameter | null;
  readonly #sizes: Sizes;

  constructor(vision_hidden_size: C, text_hidden_size: D, { rows, columns }: Grid, options: ResamplerOptions) {
    super();
    const sizes: Sizes = { ...defaults, ...options };
    const init = truncatedNormal(0.02, { bound: 100 });
    this.#sizes = sizes;
    this.vision_hidden_size = vision_hidden_size;
    this.text_hidden_size = text_hidden_size;
    // Zeros in the original, where dropout tells the queries apart. Nothing would do that here: all tokens would stay the same.
    this.query_tokens = new Parameter([1, sizes.tokens, sizes.hidden_size], { init: normal(0.02) });
    this.pos_emb = sizes.pos_emb ? new Parameter([1, rows * columns, vision_hidden_size], { init }) : null;
    this.visual_input_fc = new Linear(vision_hidden_size, sizes.hidden_size);
    const layers = Array.from({ length: sizes.num_hidden_layers }, () => new ModuleDict({ crossattention: new CrossAttention(sizes) }));
    this.encoder = new ModuleDict({ layers: new ModuleList(layers) });
    this.visual_output_fc = new Linear(sizes.hidden_size, text_hidden_size);
    this.vit_eos = sizes.num_eos_tokens > 0 ? new Parameter([1, sizes.num_eos_tokens, text_hidden_size], { init }) : null;
  }

  tokenCount(): number {
    return this.#sizes.tokens + this.#sizes.num_eos_tokens;
  }

  forward(features: Value): Value {
    const [B] = checkFeatures("Resampler", features, this.vision_hidden_size, this.pos_emb?.shape[1] ?? null);
    const tokens = this.visual_output_fc.forward(this.#encode(features).hidden);
    return this.vit_eos === null
      ? tokens
      : ops.concat([tokens, ops.expand(this.vit_eos, [B, this.#sizes.num_eos_tokens, this.text_hidden_size])], 1);
  }

  /** Attention of the last layer over the patches; the part that queries pay to each other is left out. */
  explain(features: Value): ProjectorMaps {
    const mean = ops.reduceMean(this.#encode(features).weights(), { axes: [1] });
    return { kind: "attention", weights: ops.slice(mean, { axis: 2, start: this.#sizes.tokens }) };
  }

  #encode(features: Value): { readonly hidden: Value; readonly weights: () => Value } {
    const [B] = checkFeatures("Resampler", features, this.vision_hidden_size);
    const { tokens, hidden_size } = this.#sizes;
    const e = this.visual_input_fc.forward(this.pos_emb === null ? features : ops.add(features, this.pos_emb));
    const { layers } = this.encoder;
    let hidden = ops.expand(this.query_tokens, [B, tokens, hidden_size]);
    let weights: () => Value = () => this.query_tokens;
    for (const { crossattention } of layers) {
      hidden = layers.block(hidden, (h) => {
        const next = crossattention.forward(h, e);
        weights = next.weights;
        return next.hidden;
      });
    }
    return { hidden, weights };
  }
}
