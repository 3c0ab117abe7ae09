/**
 * The vision tower of a Hugging Face BLIP-2 checkpoint in the spelling of `eva.ts`.
 *
 *     vision_model.embeddings.{class_embedding, position_embedding, patch_embedding}   visual_encoder.{cls_token, pos_embed, patch_embed.proj}
 *     vision_model.encoder.layers.N.{layer_norm1, layer_norm2}                         visual_encoder.blocks.N.{norm1, norm2}
 *     vision_model.encoder.layers.N.{self_attn.qkv, self_attn.projection, mlp}         visual_encoder.blocks.N.{attn.qkv, attn.proj, mlp}
 *     vision_model.encoder.layers.N.self_attn.qkv.bias  [3C]                           visual_encoder.blocks.N.attn.{q_bias, v_bias}  [C]
 *     vision_model.post_layernorm                                                      ln_vision
 *
 * The middle third of that bias belongs to the keys. It adds the same to all scores of a query, which softmax does not
 * see: zeros as published, or what a fine-tuning made of it, it changes nothing and is left out.
 */
import { createHash } from "node:crypto";
import type { WeightSource } from "@waggle/graph";

const spellings: readonly (readonly [RegExp, string])[] = [
  [/^vision_model\.post_layernorm\./, "ln_vision."],
  [/^vision_model\.embeddings\.class_embedding$/, "visual_encoder.cls_token"],
  [/^vision_model\.embeddings\.position_embedding$/, "visual_encoder.pos_embed"],
  [/^vision_model\.embeddings\.patch_embedding\./, "visual_encoder.patch_embed.proj."],
  [/^vision_model\.encoder\.layers\.(\d+)\.layer_norm([12])\./, "visual_encoder.blocks.$1.norm$2."],
  [/^vision_model\.encoder\.layers\.(\d+)\.self_attn\.projection\./, "visual_encoder.blocks.$1.attn.proj."],
  [/^vision_model\.encoder\.layers\.(\d+)\.self_attn\./, "visual_encoder.blocks.$1.attn."],
  [/^vision_model\.encoder\.layers\./, "visual_encoder.blocks."],
];

/** The encoder's spelling of a key; null for a key of another part. Biases of qkv are to be split before. */
export function blip2VisionKey(key: string): string | null {
  if (!key.startsWith("vision_model.")) return null;
  const [pattern, spelling] = spellings.find(([pattern]) => pattern.test(key)) ?? [/^/, ""];
  return key.replace(pattern, spelling);
}

/** The tensors of a file, each `qkv.bias` as `q_bias` and `v_bias`; one that has no three equal parts stays, for loading to refuse. */
export function splitQkvBias(tensors: ReadonlyMap<string, WeightSource>): ReadonlyMap<string, WeightSource> {
  return new Map(
    [...tensors].flatMap(([key, source]): (readonly [string, WeightSource])[] => {
      const [length = 0, ...more] = source.shape;
      if (!/^vision_model\..*\.qkv\.bias$/.test(key) || more.length > 0 || length % 3 !== 0) return [[key, source]];
      const attention = key.slice(0, -"qkv.bias".length);
      return [
        [`${attention}q_bias`, third(source, 0)],
        [`${attention}v_bias`, third(source, 2)],
      ];
    }),
  );
}

/** One of the three equal parts of a vector. */
function third(source: WeightSource, index: 0 | 1 | 2): WeightSource {
  const { dtype, shape, location, fingerprint } = source;
  return {
    dtype,
    shape: [(shape[0] ?? 0) / 3],
    fingerprint: createHash("sha256").update(`${fingerprint}\0third ${index}`).digest("hex"),
    ...(location && {
      location: {
        path: location.path,
        offset: location.offset + (index * location.byteLength) / 3,
        byteLength: location.byteLength / 3,
      },
    }),
    async read() {
      const bytes = await source.read();
      return bytes.slice((index * bytes.byteLength) / 3, ((index + 1) * bytes.byteLength) / 3);
    },
  };
}
