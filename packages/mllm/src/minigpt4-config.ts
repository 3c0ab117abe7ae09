/**
 * The sizes of a MiniGPT-4, which the authors' code fixes in its source: the default, where dims.json or config.json says nothing else.
 *
 *     dims.json     { vit, qformer }
 *     config.json   { model_type: "minigpt4", vit, qformer, text_config }      what `convert` writes
 */
import { parseConfig } from "@waggle/nn";
import type { QFormerOptions } from "@waggle/projectors";
import { z } from "zod";

/** Sizes, spelled as `eva` and `qFormer` have them. */
export interface MiniGpt4Dims {
  readonly vision: {
    readonly hidden_size: number;
    readonly intermediate_size: number;
    readonly num_hidden_layers: number;
    readonly num_attention_heads: number;
    readonly patch_size: number;
  };
  /** Side of the pictures. */
  readonly image_size: number;
  readonly qformer: QFormerOptions;
}

const size = z.number();
const dims = z.looseObject({
  vit: z
    .looseObject({ patch_size: size, embed_dim: size, depth: size, num_heads: size, mlp_ratio: size, image_size: size })
    .partial()
    .default({}),
  qformer: z
    .looseObject({
      num_query_token: size,
      hidden_size: size,
      num_hidden_layers: size,
      num_attention_heads: size,
      intermediate_size: size,
      cross_attention_freq: size,
      layer_norm_eps: z.number().positive(),
      hidden_act: z.literal("gelu", { error: "expected gelu, the only one that a Q-Former was published with." }),
    })
    .partial()
    .default({}),
});

/** Reads a parsed dims.json, or config.json; `file` is what errors call it. */
export function readMiniGpt4Dims(json: unknown, file: string): MiniGpt4Dims {
  const { vit, qformer } = parseConfig(file, dims, json);
  const { embed_dim = 1408, mlp_ratio = 4.3637, depth = 39, num_heads = 16, patch_size = 14, image_size = 224 } = vit;
  return {
    vision: {
      hidden_size: embed_dim,
      intermediate_size: Math.trunc(embed_dim * mlp_ratio),
      num_hidden_layers: depth,
      num_attention_heads: num_heads,
      patch_size,
    },
    image_size,
    qformer: {
      tokens: qformer.num_query_token ?? 32,
      hidden_size: qformer.hidden_size ?? 768,
      num_hidden_layers: qformer.num_hidden_layers ?? 12,
      num_attention_heads: qformer.num_attention_heads ?? 12,
      intermediate_size: qformer.intermediate_size ?? 3072,
      cross_attention_freq: qformer.cross_attention_freq ?? 2,
      layer_norm_eps: qformer.layer_norm_eps ?? 1e-12,
    },
  };
}
