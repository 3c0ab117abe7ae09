/**
 * Qwen2 and Qwen2.5: a Llama with biases on q_proj, k_proj and v_proj, and none elsewhere.
 *
 * With `use_sliding_window` its upper layers see a window of the last tokens. Up to the window's length that hides
 * nothing, so `max_positions` ends there: longer prompts are refused, not answered wrongly.
 *
 * reference  transformers `Qwen2ForCausalLM` (keys are Llama's)
 */
import { type Family, llamaDefaults, parseDecoderConfig, type WidthOf, type WindowConfig } from "./decoder-config.ts";
import { Llama } from "./llama.ts";

export type Qwen2Config = Omit<WindowConfig, "attention_bias" | "mlp_bias">;

const family: Family = {
  where: "Qwen2Config",
  defaults: {
    ...llamaDefaults,
    vocab_size: 151_936,
    intermediate_size: 22_016,
    num_key_value_heads: 32,
    max_position_embeddings: 32_768,
    sliding_window: 4_096,
  },
  fixed: { attention_bias: true, mlp_bias: false },
};

export function qwen2<const C extends Qwen2Config | object>(config: C): Llama<WidthOf<C>> {
  return new Llama<WidthOf<C>>({ ...parseDecoderConfig(config, family), attention_output_bias: false });
}
