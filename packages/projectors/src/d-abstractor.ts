/**
 * D-Abstractor, the deformable abstractor of Honeybee: a Deformable-DETR decoder whose M queries sample the patch features
 * around learned reference points, which start on a regular grid.
 *
 *     features  [B, N, C] or, with several levels, [B, levels, N, C]
 *     value     [B, levels·N, H]    input_proj.{level} (where C ≠ H) + v_pos_emb (+ level_emb)
 *     pos, tgt  [B, M, H]           "query": tgt learned, pos = pooled features · "tgt": the reverse · "none": both learned
 *     layer     h = LN(h + self_attn(h + pos, h)); h = LN(h + deformable(h + pos, value)); h = LN(h + fc2(ReLU(fc1(h))))
 *     out       [B, M + n, D]       eos_tokens at the end, then output_proj (where H ≠ D)
 *
 * state_dict  v_pos_emb [1, N, H] · level_emb [1, levels, 1, H] · query_position_embeddings.weight [M, H | 2H] · reference_points [1, M, 2]
 *             layers.{i}.{self_attn.{q,k,v,out}_proj,encoder_attn.*,fc1,fc2,self_attn_layer_norm,encoder_attn_layer_norm,final_layer_norm}
 *             input_proj.{level} · eos_tokens [1, n, H] · output_proj
 * paper       arXiv 2312.06742, section 3.2       reference  honeybee `DAbstractor`
 */
import { type Dim, ops, type Value } from "@waggle/graph";
import {
  ConfigError,
  checkOptions,
  Embedding,
  type Init,
  LayerNorm,
  Linear,
  Module,
  ModuleList,
  normal,
  Parameter,
  truncatedNormal,
} from "@waggle/nn";
import { DeformableAttention, type Sampling } from "./deformable-attention.ts";
import { multiHeadAttention } from "./multi-head-attention.ts";
import { checkFeatures, type Grid, type Projector, type ProjectorFactory, squareSide, wholeNumbers } from "./projector.ts";
import type { ProjectorMaps } from "./projector-maps.ts";
import { pooledRows } from "./reg-stage.ts";

export interface DAbstractorOptions {
  /** M: visual tokens, a square number. */
  readonly tokens: number;
  /** H. Default 1024. */
  readonly d_model?: number;
  readonly decoder_layers?: number;
  readonly decoder_attention_heads?: number;
  readonly decoder_ffn_dim?: number;
  readonly decoder_n_points?: number;
  readonly num_feature_levels?: number;
  /** What the pooled features are: the queries' positions, their content, or unused. Default "query". */
  readonly pooled_v_target?: "query" | "tgt" | "none";
  readonly pos_emb?: boolean;
  readonly num_eos_tokens?: number;
}

const defaults = {
  d_model: 1024,
  decoder_layers: 6,
  decoder_attention_heads: 8,
  decoder_ffn_dim: 1024,
  decoder_n_points: 4,
  num_feature_levels: 1,
  pooled_v_target: "query",
  pos_emb: true,
  num_eos_tokens: 0,
} as const;

type Sizes = Required<DAbstractorOptions>;

export function dAbstractor(options: DAbstractorOptions): ProjectorFactory {
  checkOptions("dAbstractor", options, ["tokens", ...Object.keys(defaults)] as never);
  const sizes: Sizes = { ...defaults, ...options };
  wholeNumbers("dAbstractor", {
    tokens: [sizes.tokens, 1, 65_536],
    d_model: [sizes.d_model, 1, 65_536],
    decoder_layers: [sizes.decoder_layers, 1, 256],
    decoder_attention_heads: [sizes.decoder_attention_heads, 1, 1024],
    "d_model / decoder_attention_heads": [sizes.d_model / sizes.decoder_attention_heads, 1, 65_536],
    decoder_ffn_dim: [sizes.decoder_ffn_dim, 1, 262_144],
    decoder_n_points: [sizes.decoder_n_points, 1, 256],
    num_feature_levels: [sizes.num_feature_levels, 1, 64],
    num_eos_tokens: [sizes.num_eos_tokens, 0, 4096],
  });
  squareSide("dAbstractor", "tokens", sizes.tokens);
  if (!["query", "tgt", "none"].includes(sizes.pooled_v_target)) {
    throw new ConfigError("dAbstractor", [
      { field: "pooled_v_target", message: `expected "query", "tgt" or "none", got ${JSON.stringify(sizes.pooled_v_target)}.` },
    ]);
  }
  if (sizes.num_feature_levels > 1 && sizes.pooled_v_target !== "none") {
    throw new ConfigError("dAbstractor", [
      { field: "pooled_v_target", message: `several feature levels cannot be pooled; expected "none", got "${sizes.pooled_v_target}".` },
    ]);
  }
  return (C, D, grid) => new DAbstractor(C, D, grid, sizes);
}

class SelfAttention extends Module {
  readonly #heads: number;
  readonly q_proj: Linear;
  readonly k_proj: Linear;
  readonly v_proj: Linear;
  readonly out_proj: Linear;

  constructor(width: number, heads: number) {
    super();
    this.#heads = heads;
    this.q_proj = new Linear(width, width);
    this.k_proj = new Linear(width, width);
    this.v_proj = new Linear(width, width);
    this.out_proj = new Linear(width, width);
  }

  forward(h: Value, pos: Value): Value {
    const placed = ops.add(h, pos);
    return this.out_proj.forward(
      multiHeadAttention(this.q_proj.forward(placed), this.k_proj.forward(placed), this.v_proj.forward(h), this.#heads),
    );
  }
}

class DecoderLayer extends Module {
  readonly self_attn: SelfAttention;
  readonly self_attn_layer_norm: LayerNorm;
  readonly encoder_attn: DeformableAttention;
  readonly encoder_attn_layer_norm: LayerNorm;
  readonly fc1: Linear;
  readonly fc2: Linear;
  readonly final_layer_norm: LayerNorm;

  constructor({
    d_model: width,
    decoder_attention_heads: heads,
    num_feature_levels: levels,
    decoder_n_points: points,
    decoder_ffn_dim,
  }: Sizes) {
    super();
    this.self_attn = new SelfAttention(width, heads);
    this.self_attn_layer_norm = new LayerNorm(width);
    this.encoder_attn = new DeformableAttention({ width, heads, levels, points });
    this.encoder_attn_layer_norm = new LayerNorm(width);
    this.fc1 = new Linear(width, decoder_ffn_dim);
    this.fc2 = new Linear(decoder_ffn_dim, width);
    this.final_layer_norm = new LayerNorm(width);
  }

  forward(h: Value, pos: Value, value: Value, reference: Value, grid: Grid): { readonly hidden: Value; readonly sampling: Sampling } {
    const x = this.self_attn_layer_norm.forward(ops.add(h, this.self_attn.forward(h, pos)));
    const { output, sampling } = this.encoder_attn.forward(ops.add(x, pos), value, reference, grid);
    const y = this.encoder_attn_layer_norm.forward(ops.add(x, output));
    return { hidden: this.final_layer_norm.forward(ops.add(y, this.fc2.forward(ops.relu(this.fc1.forward(y))))), sampling };
  }
}

export class DAbstractor<C extends number, D extends number> extends Module implements Projector<C, D> {
  readonly vision_hidden_size: C;
  readonly text_hidden_size: D;
  readonly input_proj: ModuleList<Linear> | null;
  readonly v_pos_emb: Parameter | null;
  readonly level_emb: Parameter | null;
  readonly query_position_embeddings: Embedding;
  readonly reference_points: Parameter;
  readonly layers: ModuleList<DecoderLayer>;
  readonly eos_tokens: Parameter | null;
  readonly output_proj: Linear | null;
  readonly #sizes: Sizes;
  readonly #grid: Grid;

  constructor(vision_hidden_size: C, text_hidden_size: D, grid: Grid, options: DAbstractorOptions) {
    super();
    const sizes: Sizes = { ...defaults, ...options };
    const { d_model: H, tokens, num_feature_levels: levels, num_eos_tokens } = sizes;
    const init = truncatedNormal(0.02, { bound: 100 });
    this.#sizes = sizes;
    this.#grid = grid;
    this.vision_hidden_size = vision_hidden_size;
    this.text_hidden_size = text_hidden_size;
    this.input_proj =
      vision_hidden_size === H ? null : new ModuleList(Array.from({ length: levels }, () => new Linear(vision_hidden_size, H)));
    this.v_pos_emb = sizes.pos_emb ? new Parameter([1, grid.rows * grid.columns, H], { init }) : null;
    this.level_emb = levels > 1 ? new Parameter([1, levels, 1, H], { init: normal(1) }) : null;
    this.query_position_embeddings = new Embedding(tokens, sizes.pooled_v_target === "none" ? 2 * H : H);
    this.reference_points = new Parameter([1, tokens, 2], { init: referenceGrid(squareSide("DAbstractor", "tokens", tokens), grid) });
    this.layers = new ModuleList(Array.from({ length: sizes.decoder_layers }, () => new DecoderLayer(sizes)));
    this.eos_tokens = num_eos_tokens > 0 ? new Parameter([1, num_eos_tokens, H], { init }) : null;
    this.output_proj = text_hidden_size === H ? null : new Linear(H, text_hidden_size);
  }

  tokenCount(): number {
    return this.#sizes.tokens + this.#sizes.num_eos_tokens;
  }

  forward(features: Value): Value {
    const { hidden, B } = this.#decode(features);
    const { num_eos_tokens: n, d_model } = this.#sizes;
    const tokens = this.eos_tokens === null ? hidden : ops.concat([hidden, ops.expand(this.eos_tokens, [B, n, d_model])], 1);
    return this.output_proj?.forward(tokens) ?? tokens;
  }

  /** The sampling of the last layer: heads, levels and points of a token in one list, each head with an equal share. */
  explain(features: Value): ProjectorMaps {
    const { sampling, B } = this.#decode(features);
    const { tokens, decoder_attention_heads: heads, num_feature_levels: levels, decoder_n_points: points } = this.#sizes;
    const K = heads * levels * points;
    return {
      kind: "points",
      locations: ops.reshape(sampling.locations, [B, tokens, K, 2]),
      weights: ops.div(ops.reshape(sampling.weights, [B, tokens, K]), heads),
    };
  }

  #decode(features: Value): { readonly hidden: Value; readonly sampling: Sampling; readonly B: Dim } {
    const { tokens: M, d_model: H, pooled_v_target } = this.#sizes;
    const { value, B } = this.#values(features);
    const learned = this.query_position_embeddings.weight;
    const all = (x: Value): Value => ops.expand(ops.reshape(x, [1, M, H]), [B, M, H]);
    let [pos, hidden]: readonly [Value, Value] = [value, value];
    if (pooled_v_target === "none") {
      [pos, hidden] = [all(ops.slice(learned, { axis: 1, end: H })), all(ops.slice(learned, { axis: 1, start: H }))];
    } else {
      const side = Math.sqrt(M);
      const pooled = pooledRows(value, this.#grid, { rows: side, columns: side });
      [pos, hidden] = pooled_v_target === "query" ? [pooled, all(learned)] : [all(learned), pooled];
    }
    let sampling: Sampling = { locations: this.reference_points, weights: learned };
    for (const layer of this.layers) {
      hidden = this.layers.block(hidden, (h) => {
        const next = layer.forward(h, pos, value, this.reference_points, this.#grid);
        sampling = next.sampling;
        return next.hidden;
      });
    }
    return { hidden, sampling, B };
  }

  /** [B, N, C] or [B, levels, N, C] → [B, levels·N, H] with positions and levels marked */
  #values(features: Value): { readonly value: Value; readonly B: Dim } {
    const { num_feature_levels: levels, d_model: H } = this.#sizes;
    const N = this.#grid.rows * this.#grid.columns;
    const marked = Array.from({ length: levels }, (_, level) => {
      const one = levels === 1 ? features : ops.squeeze(ops.slice(features, { axis: 1, start: level, end: level + 1 }), 1);
      checkFeatures("DAbstractor", one, this.vision_hidden_size, N);
      const projected = this.input_proj?.at(level)?.forward(one) ?? one;
      const placed = this.v_pos_emb === null ? projected : ops.add(projected, this.v_pos_emb);
      if (this.level_emb === null) return placed;
      return ops.add(placed, ops.reshape(ops.slice(this.level_emb, { axis: 1, start: level, end: level + 1 }), [1, 1, H]));
    });
    const value = ops.concat(marked, 1);
    return { value, B: value.shape[0] ?? 1 };
  }
}

/** x and y of M points over the grid, x fastest: linspace(0.5, size − 0.5, √M) / size on each axis. */
function referenceGrid(side: number, { rows, columns }: Grid): Init {
  const place = (i: number, size: number): number => (side === 1 ? 0.5 : 0.5 + (i * (size - 1)) / (side - 1)) / size;
  return {
    description: `referenceGrid(${side}, ${rows}, ${columns})`,
    fill: (values) => {
      for (let i = 0; i < side * side; i++) {
        values[2 * i] = place(i % side, columns);
        values[2 * i + 1] = place(Math.floor(i / side), rows);
      }
    },
  };
}
