/**
 * Mistral: a Llama without biases whose tokens see a sliding window of the last `sliding_window` tokens.
 *
 * Up to that length the window hides nothing, and that far the model is exact. `max_positions` is therefore the window
 * where there is one: longer prompts are refused, not answered wrongly.
 *
 * reference  transformers `MistralForCausalLM` (keys are Llama's)
 */
import { type Family, llamaDefaults, parseDecoderConfig, type WidthOf, type WindowConfig } from "./decoder-config.ts";
import { Llama } from "./llama.ts";

export type MistralConfig = Omit<WindowConfig, "attention_bias" | "mlp_bias" | "use_sliding_window">;

const family: Family = {
  where: "MistralConfig",
  defaults: {
    ...llamaDefaults,
    intermediate_size: 14_336,
    num_key_value_heads: 8,
    max_position_embeddings: 131_072,
    sliding_window: 4_096,
  },
  fixed: { attention_bias: false, mlp_bias: false, use_sliding_window: true },
};

export function mistral<const C extends MistralConfig | object>(config: C): Llama<WidthOf<C>> {
  return new Llama<WidthOf<C>>(parseDecoderConfig(config, family));
}
