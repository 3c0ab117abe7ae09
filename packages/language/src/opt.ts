/**
 * The OPT decoder: LayerNorm, learned positions, ReLU, biases, a head tied to the embeddings.
 *
 *     inputs_embeds  [B, S, D]    D = word_embed_proj_dim
 *     first          [B, S, hidden_size]    project_in(x) + embed_positions[position + 2]     (no project_in where both widths are D)
 *     layer          x += out_proj(attend(q, k, v));  x += fc2(act(fc1 x))          each half's norm before it, or after the sum
 *     decode         project_out(final_layer_norm(x))   [B, S, D]
 *     head           lm_head            [B, S, V]
 *
 * state_dict  model.decoder.{embed_tokens.weight [V, D], embed_positions.weight [2 + positions, hidden_size], project_in, project_out, final_layer_norm} ·
 *             model.decoder.layers.N.{self_attn.{q_proj, k_proj, v_proj, out_proj}, self_attn_layer_norm, fc1, fc2, final_layer_norm} ·
 *             lm_head.weight [V, D] (absent when tied)
 * paper       arXiv 2205.01068       reference  transformers `OPTForCausalLM`
 */
import { constant, ops, shapeOf, type Value } from "@waggle/graph";
import { activation, Embedding, type KeyTrouble, LayerNorm, Linear, Module, ModuleDict, ModuleList, normal } from "@waggle/nn";
import type { KeyValueCache } from "./key-value-cache.ts";
import type { LanguageModel } from "./language-model.ts";
import { type OptConfig, type OptDecoder, type OptWidthOf, parseOptConfig } from "./opt-config.ts";

/** Rows of the table of positions that no position uses. */
const FIRST_POSITION = 2;

/** An OPT language model, without weights: load or initialise them. */
export function opt<const C extends OptConfig | object>(config: C): Opt<OptWidthOf<C>> {
  return new Opt<OptWidthOf<C>>(parseOptConfig(config));
}

export class Opt<D extends number = number> extends Module implements LanguageModel<D> {
  readonly config: OptDecoder;
  readonly model: ModuleDict<{ decoder: OptModel }>;
  readonly lm_head: Linear;
  /** Learned positions do not move keys about. */
  readonly keysDependOnLength = false;

  constructor(config: OptDecoder) {
    super();
    const { word_embed_proj_dim, vocab_size, tie_word_embeddings, init_std } = config;
    const decoder = new OptModel(config);
    this.config = config;
    this.model = new ModuleDict({ decoder });
    this.lm_head = new Linear(word_embed_proj_dim, vocab_size, {
      bias: false,
      init: normal(init_std),
      ...(tie_word_embeddings && { weight: decoder.embed_tokens.weight }),
    });
  }

  get hidden_size(): D {
    return this.config.word_embed_proj_dim as D;
  }
  get layers(): number {
    return this.config.num_hidden_layers;
  }
  get kv_heads(): number {
    return this.config.num_attention_heads;
  }
  get head_dim(): number {
    return this.config.hidden_size / this.config.num_attention_heads;
  }
  get vocab_size(): number {
    return this.config.vocab_size;
  }
  get max_positions(): number {
    return this.config.max_position_embeddings;
  }

  embed(input_ids: Value): Value {
    return this.model.decoder.embed_tokens.forward(input_ids);
  }

  decode(inputs_embeds: Value, cache: KeyValueCache): Value {
    return this.model.decoder.forward(inputs_embeds, cache);
  }

  head(hidden: Value): Value {
    return this.lm_head.forward(hidden);
  }

  forward(inputs_embeds: Value, cache: KeyValueCache): Value {
    return this.head(this.decode(inputs_embeds, cache));
  }

  override cureFor(key: string, trouble: KeyTrouble): string | undefined {
    const { tie_word_embeddings, enable_bias, num_hidden_layers } = this.config;
    if (key === "lm_head.weight" && trouble !== "mismatch") return `Build with tie_word_embeddings: ${!tie_word_embeddings}.`;
    if (trouble === "ambiguous") return "The file does not tie them: build with tie_word_embeddings: false.";
    if (/\.(\w+_proj|fc[12])\.bias$/.test(key)) return `Build with enable_bias: ${!enable_bias}.`;
    return /^model\.decoder\.layers\.\d+\./.test(key)
      ? `Compare num_hidden_layers (${num_hidden_layers}) and the sizes in config.json with the file.`
      : undefined;
  }
}

export class OptModel extends Module {
  readonly embed_tokens: Embedding;
  readonly embed_positions: Embedding;
  readonly project_in: Linear | null;
  readonly project_out: Linear | null;
  readonly final_layer_norm: Norm | null;
  readonly layers: ModuleList<OptDecoderLayer>;

  constructor(config: OptDecoder) {
    super();
    const { hidden_size, word_embed_proj_dim: D, vocab_size, max_position_embeddings, num_hidden_layers } = config;
    const init = normal(config.init_std);
    this.embed_tokens = new Embedding(vocab_size, D, { init });
    this.embed_positions = new Embedding(FIRST_POSITION + max_position_embeddings, hidden_size, { init });
    this.project_in = D === hidden_size ? null : new Linear(D, hidden_size, { bias: false, init });
    this.project_out = D === hidden_size ? null : new Linear(hidden_size, D, { bias: false, init });
    this.final_layer_norm = config.do_layer_norm_before && !config._remove_final_layer_norm ? norm(config) : null;
    this.layers = new ModuleList(Array.from({ length: num_hidden_layers }, () => new OptDecoderLayer(config)));
  }

  forward(inputs_embeds: Value, cache: KeyValueCache): Value {
    const positions = this.embed_positions.forward(ops.add(cache.positions(inputs_embeds), FIRST_POSITION));
    let x = ops.add(this.project_in?.forward(inputs_embeds) ?? inputs_embeds, positions);
    for (const [index, layer] of [...this.layers].entries()) {
      x = this.layers.block(x, (input) => layer.forward(input, cache, index));
    }
    const normed = this.final_layer_norm?.forward(x) ?? x;
    return this.project_out?.forward(normed) ?? normed;
  }
}

export class OptDecoderLayer extends Module {
  readonly #act: (x: Value) => Value;
  readonly #normBefore: boolean;
  readonly self_attn: OptAttention;
  readonly self_attn_layer_norm: Norm;
  readonly fc1: Linear;
  readonly fc2: Linear;
  readonly final_layer_norm: Norm;

  constructor(config: OptDecoder) {
    super();
    const { hidden_size, ffn_dim, enable_bias: bias, init_std } = config;
    const init = normal(init_std);
    this.#act = activation(config.activation_function);
    this.#normBefore = config.do_layer_norm_before;
    this.self_attn = new OptAttention(config);
    this.self_attn_layer_norm = norm(config);
    this.fc1 = new Linear(hidden_size, ffn_dim, { bias, init });
    this.fc2 = new Linear(ffn_dim, hidden_size, { bias, init });
    this.final_layer_norm = norm(config);
  }

  /** [B, S, hidden_size] → the same */
  forward(x: Value, cache: KeyValueCache, index: number): Value {
    const attended = this.#half(x, this.self_attn_layer_norm, (normed) => this.self_attn.forward(normed, cache, index));
    return this.#half(attended, this.final_layer_norm, (normed) => this.fc2.forward(this.#act(this.fc1.forward(normed))));
  }

  #half(x: Value, layerNorm: Norm, change: (x: Value) => Value): Value {
    return this.#normBefore ? ops.add(x, change(layerNorm.forward(x))) : layerNorm.forward(ops.add(x, change(x)));
  }
}

export class OptAttention extends Module {
  readonly #heads: number;
  readonly k_proj: Linear;
  readonly v_proj: Linear;
  readonly q_proj: Linear;
  readonly out_proj: Linear;

  constructor({ hidden_size, num_attention_heads, enable_bias: bias, init_std }: OptDecoder) {
    super();
    const init = normal(init_std);
    this.#heads = num_attention_heads;
    this.k_proj = new Linear(hidden_size, hidden_size, { bias, init });
    this.v_proj = new Linear(hidden_size, hidden_size, { bias, init });
    this.q_proj = new Linear(hidden_size, hidden_size, { bias, init });
    this.out_proj = new Linear(hidden_size, hidden_size, { bias, init });
  }

  forward(x: Value, cache: KeyValueCache, index: number): Value {
    const [B, S, width] = shapeOf(x, "B S? width");
    const heads = (projection: Linear): Value =>
      ops.transpose(ops.reshape(projection.forward(x), [B, S, this.#heads, width / this.#heads]), [0, 2, 1, 3]);
    const attended = cache.attend(index, heads(this.q_proj), heads(this.k_proj), heads(this.v_proj)); // [B, heads, S, Dh]
    return this.out_proj.forward(ops.reshape(ops.transpose(attended, [0, 2, 1, 3]), [B, S, width]));
  }
}

type Norm = LayerNorm | PlainNorm;

function norm({ hidden_size, layer_norm_elementwise_affine }: OptDecoder): Norm {
  return layer_norm_elementwise_affine ? new LayerNorm(hidden_size) : new PlainNorm(hidden_size);
}

/** A LayerNorm without weights. */
class PlainNorm extends Module {
  readonly #width: number;

  constructor(width: number) {
    super();
    this.#width = width;
  }

  forward(x: Value): Value {
    return ops.layerNorm(x, constant(new Float32Array(this.#width).fill(1)), null, { epsilon: 1e-5 });
  }
}
