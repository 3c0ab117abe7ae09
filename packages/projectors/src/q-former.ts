/**
 * Q-Former: a BERT whose M learned queries attend to each other and, in every `cross_attention_freq`-th layer, to the
 * picture; then one linear map into the language model's width. BLIP-2's and MiniGPT-4's projector.
 *
 *     x      [B, N, C]      patch features, class token included
 *     h      [B, M, H]      LayerNorm(query_tokens)
 *     layer  h = LN(dense(attention(h)) + h)
 *            h = LN(dense(attention(h → x)) + h)                     layers 0, freq, 2·freq …
 *            h = LN(output_query(GELU(intermediate_query(h))) + h)
 *     out    [B, M, D]      llama_proj
 *
 * state_dict  query_tokens [1, M, H] · llama_proj · Qformer.bert.embeddings.LayerNorm · Qformer.bert.encoder.layer.{i}.
 *             {attention,crossattention}.{self.{query,key,value},output.{dense,LayerNorm}} · intermediate_query.dense · output_query.{dense,LayerNorm}
 * paper       arXiv 2301.12597 (BLIP-2), 2304.10592 (MiniGPT-4)       reference  MiniGPT-4 `Qformer.py`, transformers `Blip2QFormerModel`
 */
import { ops, type Value } from "@waggle/graph";
import { checkOptions, LayerNorm, Linear, Module, ModuleDict, ModuleList, normal, Parameter } from "@waggle/nn";
import { attentionWeights, multiHeadAttention } from "./multi-head-attention.ts";
import { checkFeatures, type Projector, type ProjectorFactory, wholeNumbers } from "./projector.ts";
import type { ProjectorMaps } from "./projector-maps.ts";
import { torchLinear } from "./torch-linear.ts";

export interface QFormerOptions {
  /** M: visual tokens. Default 32. */
  readonly tokens?: number;
  /** H. Default 768. */
  readonly hidden_size?: number;
  readonly num_hidden_layers?: number;
  readonly num_attention_heads?: number;
  readonly intermediate_size?: number;
  readonly cross_attention_freq?: number;
  readonly layer_norm_eps?: number;
}

const defaults = {
  tokens: 32,
  hidden_size: 768,
  num_hidden_layers: 12,
  num_attention_heads: 12,
  intermediate_size: 3072,
  cross_attention_freq: 2,
  layer_norm_eps: 1e-12,
};

type Sizes = Required<QFormerOptions>;

export function qFormer(options: QFormerOptions = {}): ProjectorFactory {
  checkOptions("qFormer", options, Object.keys(defaults) as never);
  const sizes: Sizes = { ...defaults, ...options };
  wholeNumbers("qFormer", {
    tokens: [sizes.tokens, 1, 65_536],
    hidden_size: [sizes.hidden_size, 1, 65_536],
    num_hidden_layers: [sizes.num_hidden_layers, 1, 256],
    num_attention_heads: [sizes.num_attention_heads, 1, 1024],
    "hidden_size / num_attention_heads": [sizes.hidden_size / sizes.num_attention_heads, 1, 65_536],
    intermediate_size: [sizes.intermediate_size, 1, 262_144],
    cross_attention_freq: [sizes.cross_attention_freq, 1, 256],
  });
  return (C, D) => new QFormer(C, D, sizes);
}

/** A linear map, the residual added, then LayerNorm. */
class Output extends Module {
  readonly dense: Linear;
  readonly LayerNorm: LayerNorm;

  constructor(into: number, { hidden_size, layer_norm_eps }: Sizes) {
    super();
    this.dense = new Linear(into, hidden_size);
    this.LayerNorm = new LayerNorm(hidden_size, { eps: layer_norm_eps });
  }

  forward(x: Value, residual: Value): Value {
    return this.LayerNorm.forward(ops.add(this.dense.forward(x), residual));
  }
}

class Attention extends Module {
  readonly #heads: number;
  readonly self: ModuleDict<{ query: Linear; key: Linear; value: Linear }>;
  readonly output: Output;

  constructor(source: number, sizes: Sizes) {
    super();
    const { hidden_size: H } = sizes;
    this.#heads = sizes.num_attention_heads;
    this.self = new ModuleDict({ query: new Linear(H, H), key: new Linear(source, H), value: new Linear(source, H) });
    this.output = new Output(H, sizes);
  }

  forward(h: Value, source: Value): { readonly hidden: Value; readonly weights: () => Value } {
    const [q, k] = [this.self.query.forward(h), this.self.key.forward(source)];
    const mixed = multiHeadAttention(q, k, this.self.value.forward(source), this.#heads);
    return { hidden: this.output.forward(mixed, h), weights: () => attentionWeights(q, k, this.#heads) };
  }
}

class QFormerLayer extends Module {
  readonly attention: Attention;
  readonly crossattention: Attention | null;
  readonly intermediate_query: ModuleDict<{ dense: Linear }>;
  readonly output_query: Output;

  constructor(index: number, picture: number, sizes: Sizes) {
    super();
    this.attention = new Attention(sizes.hidden_size, sizes);
    this.crossattention = index % sizes.cross_attention_freq === 0 ? new Attention(picture, sizes) : null;
    this.intermediate_query = new ModuleDict({ dense: new Linear(sizes.hidden_size, sizes.intermediate_size) });
    this.output_query = new Output(sizes.intermediate_size, sizes);
  }

  forward(h: Value, picture: Value): { readonly hidden: Value; readonly weights: (() => Value) | null } {
    const attended = this.attention.forward(h, h).hidden;
    const crossed = this.crossattention?.forward(attended, picture) ?? null;
    const x = crossed?.hidden ?? attended;
    return { hidden: this.output_query.forward(ops.gelu(this.intermediate_query.dense.forward(x)), x), weights: crossed?.weights ?? null };
  }
}

class QFormerBert extends Module {
  readonly embeddings: ModuleDict<{ LayerNorm: LayerNorm }>;
  readonly encoder: ModuleDict<{ layer: ModuleList<QFormerLayer> }>;

  constructor(picture: number, sizes: Sizes) {
    super();
    this.embeddings = new ModuleDict({ LayerNorm: new LayerNorm(sizes.hidden_size, { eps: sizes.layer_norm_eps }) });
    const layer = new ModuleList(Array.from({ length: sizes.num_hidden_layers }, (_, i) => new QFormerLayer(i, picture, sizes)));
    this.encoder = new ModuleDict({ layer });
  }

  /** The text branch and the buffer of positions, which files hold and queries do not use. */
  override get ignoredKeys(): readonly RegExp[] {
    return [
      /^embeddings\.(position_ids|word_embeddings\.|position_embeddings\.)/,
      /^encoder\.layer\.\d+\.(intermediate|output)\./,
      /^pooler\./,
    ];
  }
}

export class QFormer<C extends number, D extends number> extends Module implements Projector<C, D> {
  readonly vision_hidden_size: C;
  readonly text_hidden_size: D;
  readonly query_tokens: Parameter;
  readonly Qformer: ModuleDict<{ bert: QFormerBert }>;
  readonly llama_proj: Linear;
  readonly #sizes: Sizes;

  constructor(vision_hidden_size: C, text_hidden_size: D, options: QFormerOptions) {
    super();
    this.#sizes = { ...defaults, ...options };
    this.vision_hidden_size = vision_hidden_size;
    this.text_hidden_size = text_hidden_size;
    this.query_tokens = new Parameter([1, this.#sizes.tokens, this.#sizes.hidden_size], { init: normal(0.02) });
    this.Qformer = new ModuleDict({ bert: new QFormerBert(vision_hidden_size, this.#sizes) });
    this.llama_proj = torchLinear(this.#sizes.hidden_size, text_hidden_size);
  }

  override get ignoredKeys(): readonly RegExp[] {
    return [/^Qformer\.cls\./];
  }

  tokenCount(): number {
    return this.#sizes.tokens;
  }

  forward(features: Value): Value {
    return this.llama_proj.forward(this.encode(features).hidden);
  }

  /** The queries after the last layer, [B, M, H], before they are mapped into the language model. */
  encode(features: Value): { readonly hidden: Value; readonly weights: () => Value } {
    const [B] = checkFeatures("QFormer", features, this.vision_hidden_size);
    const { tokens, hidden_size } = this.#sizes;
    const { embeddings, encoder } = this.Qformer.bert;
    let hidden = ops.expand(embeddings.LayerNorm.forward(this.query_tokens), [B, tokens, hidden_size]);
    let weights: () => Value = () => hidden;
    for (const layer of encoder.layer) {
      hidden = encoder.layer.block(hidden, (h) => {
        const next = layer.forward(h, features);
        weights = next.weights ?? weights;
        return next.hidden;
      });
    }
    return { hidden, weights };
  }

  /** Cross-attention of the last layer that has it; with a class token kept, its column comes first. */
  explain(features: Value): ProjectorMaps {
    return { kind: "attention", weights: ops.reduceMean(this.encode(features).weights(), { axes: [1] }) };
  }
}

/** Keys of the Hugging Face BLIP-2 layout in this module's spelling; keys of other parts: null. */
export function blip2QFormerKey(key: string): string | null {
  if (key === "query_tokens") return key;
  if (key.startsWith("language_projection.")) return key.replace("language_projection.", "llama_proj.");
  if (!key.startsWith("qformer.")) return null;
  return key
    .replace(/^qformer\.layernorm\./, "Qformer.bert.embeddings.LayerNorm.")
    .replace(/^qformer\./, "Qformer.bert.")
    .replace(/\.(attention|crossattention)\.attention\./, ".$1.self.");
}
