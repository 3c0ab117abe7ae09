/** waggle-mini without weights: a Honeybee whose sizes are those of a toy. */
import { llama } from "@waggle/language";
import { type Composition, compose, honeybeePrompt } from "@waggle/mllm";
import { cAbstractor } from "@waggle/projectors";
import { clip } from "@waggle/vision";
import { tokenizer } from "./base-parts.ts";
import type { HoneybeeSizes } from "./honeybee-folder.ts";

const heads = { num_attention_heads: 6, hidden_size: 192 };

export const sizes: HoneybeeSizes = {
  vision: { ...heads, image_size: 96, patch_size: 12, intermediate_size: 768, num_hidden_layers: 4, hidden_act: "quick_gelu" },
  projector: { num_queries: 36, feature_layer_index: -1, depth: 3, mlp_depth: 2, hidden_size: 192 },
  text: {
    ...heads,
    ...{ num_key_value_heads: 6, num_hidden_layers: 4, intermediate_size: 512, vocab_size: tokenizer.size },
    ...{ max_position_embeddings: 1024, tie_word_embeddings: true },
  },
};

export function miniComposition(): Composition {
  const { num_queries: tokens, feature_layer_index: layer, ...projector } = sizes.projector;
  const parts = { vision: clip(sizes.vision, { layer }), projector: cAbstractor({ tokens, ...projector }), language: llama(sizes.text) };
  return compose({ ...parts, prompt: honeybeePrompt, tokenizer });
}
