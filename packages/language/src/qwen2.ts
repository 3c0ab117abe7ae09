/**
 * Qwen2 and Qwen2.5: a Llama with biases on q_proj, k_proj and v_proj, and none elsewhere.
 *
 * With `use_sliding_window` the layers from `max_window_layers` on see a window of the last tokens; up to the window's
 * length that hides nothing, so `max_positions` ends there.
 *
 * reference  transformers `Qwen2ForCausalLM` (keys are Llama's)
 */
import { parseConfig } from "@waggle/nn";
import { z } from "zod";
import { flag, whole } from "./config-fields.ts";
import { type LlamaConfig, llamaDefaults, parseDecoderConfig } from "./decoder-config.ts";
import { Llama } from "./llama.ts";

export interface Qwen2Config extends Omit<LlamaConfig, "attention_bias" | "mlp_bias"> {
  readonly use_sliding_window?: boolean;
  readonly sliding_window?: number | null;
}

const defaults: LlamaConfig = {
  ...llamaDefaults,
  vocab_size: 151_936,
  intermediate_size: 22_016,
  num_key_value_heads: 32,
  max_position_embeddings: 32_768,
};
const window = z.looseObject({
  use_sliding_window: flag.default(false),
  sliding_window: whole("max_position_embeddings").nullable().default(4_096),
});

export function qwen2<const D extends number>(config: Qwen2Config & { readonly hidden_size: D }): Llama<D>;
export function qwen2(config: object): Llama;
export function qwen2(config: object): Llama {
  const decoder = parseDecoderConfig({ ...config, attention_bias: true, mlp_bias: false }, "Qwen2Config", defaults);
  const { use_sliding_window, sliding_window } = parseConfig("Qwen2Config", window, config);
  const limit = use_sliding_window && sliding_window !== null ? sliding_window : Number.POSITIVE_INFINITY;
  return new Llama({ ...decoder, attention_output_bias: false, max_positions: Math.min(decoder.max_positions, limit) });
}
