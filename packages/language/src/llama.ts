/**
 * The Llama decoder: RMSNorm before each half of a layer, rotary positions, grouped queries, gated feed-forward.
 *
 *     inputs_embeds  [B, S, D]
 *     layer          x += o_proj(attend(rope(q), rope(k), v));  x += down_proj(act(gate_proj x) · up_proj x)
 *     decode         norm(x)            [B, S, D]
 *     head           lm_head            [B, S, V]
 *
 * state_dict  model.embed_tokens.weight [V, D] · model.layers.N.{input_layernorm, post_attention_layernorm}.weight ·
 *             model.layers.N.self_attn.{q_proj, k_proj, v_proj, o_proj} · model.layers.N.mlp.{gate_proj, up_proj, down_proj} ·
 *             model.norm.weight · lm_head.weight [V, D] (absent when tied)
 * paper       arXiv 2302.13971, 2307.09288       reference  transformers `LlamaForCausalLM`
 */
import { ops, shapeOf, type Value } from "@waggle/graph";
import { activation, Embedding, type KeyTrouble, Linear, Module, ModuleList, normal, RMSNorm } from "@waggle/nn";
import { type DecoderConfig, type Family, type LlamaConfig, llamaDefaults, parseDecoderConfig, type WidthOf } from "./decoder-config.ts";
import type { KeyValueCache } from "./key-value-cache.ts";
import type { LanguageModel } from "./language-model.ts";
import { type Rotation, rotation } from "./rope.ts";

const family: Family = { where: "LlamaConfig", defaults: llamaDefaults, fixed: { use_sliding_window: false, sliding_window: null } };

/** A language model of the Llama family, without weights: load or initialise them. */
export function llama<const C extends LlamaConfig | object>(config: C): Llama<WidthOf<C>> {
  return new Llama<WidthOf<C>>(parseDecoderConfig(config, family));
}

export class Llama<D extends number = number> extends Module implements LanguageModel<D> {
  readonly config: DecoderConfig;
  readonly model: LlamaModel;
  readonly lm_head: Linear;

  constructor(config: DecoderConfig) {
    super();
    const { hidden_size, vocab_size, tie_word_embeddings, initializer_range } = config;
    this.config = config;
    this.model = new LlamaModel(config);
    this.lm_head = new Linear(hidden_size, vocab_size, {
      bias: false,
      init: normal(initializer_range),
      ...(tie_word_embeddings && { weight: this.model.embed_tokens.weight }),
    });
  }

  get hidden_size(): D {
    return this.config.hidden_size as D;
  }
  get layers(): number {
    return this.config.num_hidden_layers;
  }
  get kv_heads(): number {
    return this.config.num_key_value_heads;
  }
  get head_dim(): number {
    return this.config.head_dim;
  }
  get vocab_size(): number {
    return this.config.vocab_size;
  }
  get max_positions(): number {
    return this.config.max_positions;
  }
  get keysDependOnLength(): boolean {
    return this.config.rope.rope_type === "dynamic";
  }

  embed(input_ids: Value): Value {
    return this.model.embed_tokens.forward(input_ids);
  }

  decode(inputs_embeds: Value, cache: KeyValueCache): Value {
    return this.model.forward(inputs_embeds, cache);
  }

  head(hidden: Value): Value {
    return this.lm_head.forward(hidden);
  }

  forward(inputs_embeds: Value, cache: KeyValueCache): Value {
    return this.head(this.decode(inputs_embeds, cache));
  }

  /** Files of 2023 hold the rotary frequencies, which are computed here. */
  override get ignoredKeys(): readonly RegExp[] {
    return [/^model\.(layers\.\d+\.self_attn\.)?rotary_emb\.inv_freq$/];
  }

  override cureFor(key: string, trouble: KeyTrouble): string | undefined {
    if (key === "lm_head.weight" && trouble !== "mismatch") return `Build with tie_word_embeddings: ${!this.config.tie_word_embeddings}.`;
    if (trouble === "ambiguous") return "The file does not tie them: build with tie_word_embeddings: false.";
    if (/\.self_attn\.\w+_proj\.bias$/.test(key)) return `Build with attention_bias: ${!this.config.attention_bias}.`;
    if (/\.mlp\.\w+_proj\.bias$/.test(key)) return `Build with mlp_bias: ${!this.config.mlp_bias}.`;
    if (/^model\.layers\.\d+\./.test(key))
      return `Compare num_hidden_layers (${this.config.num_hidden_layers}) and the sizes in config.json with the file.`;
    return /^(model\.embed_tokens|lm_head)\.weight$/.test(key)
      ? "Compare vocab_size and hidden_size in config.json with the file."
      : undefined;
  }
}

export class LlamaModel extends Module {
  readonly #config: DecoderConfig;
  readonly embed_tokens: Embedding;
  readonly layers: ModuleList<LlamaDecoderLayer>;
  readonly norm: RMSNorm;

  constructor(config: DecoderConfig) {
    super();
    this.#config = config;
    this.embed_tokens = new Embedding(config.vocab_size, config.hidden_size, { init: normal(config.initializer_range) });
    this.layers = new ModuleList(Array.from({ length: config.num_hidden_layers }, () => new LlamaDecoderLayer(config)));
    this.norm = new RMSNorm(config.hidden_size, { eps: config.rms_norm_eps });
  }

  /** cos and sin of the positions that the cache gives these embeddings. */
  rotation(inputs_embeds: Value, cache: KeyValueCache): Rotation {
    const { rope, head_dim, max_position_embeddings } = this.#config;
    return rotation(rope, head_dim, max_position_embeddings, cache.positions(inputs_embeds));
  }

  forward(inputs_embeds: Value, cache: KeyValueCache): Value {
    const turn = this.rotation(inputs_embeds, cache);
    let x = inputs_embeds;
    for (const [index, layer] of [...this.layers].entries()) {
      x = this.layers.block(x, (input) => layer.forward(input, turn, cache, index));
    }
    return this.norm.forward(x);
  }
}

export class LlamaDecoderLayer extends Module {
  readonly input_layernorm: RMSNorm;
  readonly self_attn: LlamaAttention;
  readonly post_attention_layernorm: RMSNorm;
  readonly mlp: LlamaMLP;

  constructor(config: DecoderConfig) {
    super();
    const { hidden_size, rms_norm_eps: eps } = config;
    this.input_layernorm = new RMSNorm(hidden_size, { eps });
    this.self_attn = new LlamaAttention(config);
    this.post_attention_layernorm = new RMSNorm(hidden_size, { eps });
    this.mlp = new LlamaMLP(config);
  }

  /** [B, S, D] → [B, S, D] */
  forward(x: Value, turn: Rotation, cache: KeyValueCache, index: number): Value {
    const attended = ops.add(x, this.self_attn.forward(this.input_layernorm.forward(x), turn, cache, index));
    return ops.add(attended, this.mlp.forward(this.post_attention_layernorm.forward(attended)));
  }
}

export class LlamaAttention extends Module {
  readonly #head_dim: number;
  readonly q_proj: Linear;
  readonly k_proj: Linear;
  readonly v_proj: Linear;
  readonly o_proj: Linear;

  constructor(config: DecoderConfig) {
    super();
    const { hidden_size, head_dim, num_attention_heads, num_key_value_heads, attention_bias, attention_output_bias } = config;
    const init = normal(config.initializer_range);
    this.#head_dim = head_dim;
    this.q_proj = new Linear(hidden_size, num_attention_heads * head_dim, { bias: attention_bias, init });
    this.k_proj = new Linear(hidden_size, num_key_value_heads * head_dim, { bias: attention_bias, init });
    this.v_proj = new Linear(hidden_size, num_key_value_heads * head_dim, { bias: attention_bias, init });
    this.o_proj = new Linear(num_attention_heads * head_dim, hidden_size, { bias: attention_output_bias, init });
  }

  forward(x: Value, { cos, sin }: Rotation, cache: KeyValueCache, index: number): Value {
    const [B, S] = shapeOf(x, "B S? D");
    const q = ops.rotaryEmbedding(this.#heads(this.q_proj, x), cos, sin);
    const k = ops.rotaryEmbedding(this.#heads(this.k_proj, x), cos, sin);
    const attended = cache.attend(index, q, k, this.#heads(this.v_proj, x)); // [B, Hq, S, Dh]
    return this.o_proj.forward(ops.reshape(ops.transpose(attended, [0, 2, 1, 3]), [B, S, this.o_proj.in_features]));
  }

  /** [B, S, D] → [B, H, S, Dh] */
  #heads(projection: Linear, x: Value): Value {
    const [B, S] = shapeOf(x, "B S? D");
    const heads = projection.out_features / this.#head_dim;
    return ops.transpose(ops.reshape(projection.forward(x), [B, S, heads, this.#head_dim]), [0, 2, 1, 3]);
  }
}

export class LlamaMLP extends Module {
  readonly #act: (x: Value) => Value;
  readonly gate_proj: Linear;
  readonly up_proj: Linear;
  readonly down_proj: Linear;

  constructor({ hidden_size, intermediate_size, hidden_act, mlp_bias: bias, initializer_range }: DecoderConfig) {
    super();
    const init = normal(initializer_range);
    this.#act = activation(hidden_act);
    this.gate_proj = new Linear(hidden_size, intermediate_size, { bias, init });
    this.up_proj = new Linear(hidden_size, intermediate_size, { bias, init });
    this.down_proj = new Linear(intermediate_size, hidden_size, { bias, init });
  }

  forward(x: Value): Value {
    return this.down_proj.forward(ops.mul(this.#act(this.gate_proj.forward(x)), this.up_proj.forward(x)));
  }
}
