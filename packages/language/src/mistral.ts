/**
 * Mistral: a Llama without biases whose tokens see a sliding window of the last `sliding_window` tokens.
 *
 * Up to that length the window hides nothing, and that far the model is exact. `max_positions` is therefore the window
 * where there is one; longer prompts are for whoever adds the window's mask.
 *
 * reference  transformers `MistralForCausalLM` (keys are Llama's)
 */
import { parseConfig } from "@waggle/nn";
import { z } from "zod";
import { whole } from "./config-fields.ts";
import { type LlamaConfig, llamaDefaults, parseDecoderConfig } from "./decoder-config.ts";
import { Llama } from "./llama.ts";

export interface MistralConfig extends Omit<LlamaConfig, "attention_bias" | "mlp_bias"> {
  /** null: every token sees all before it. */
  readonly sliding_window?: number | null;
}

const defaults: LlamaConfig = { ...llamaDefaults, intermediate_size: 14_336, num_key_value_heads: 8, max_position_embeddings: 131_072 };
const window = z.looseObject({ sliding_window: whole("max_position_embeddings").nullable().default(4_096) });

export function mistral<const D extends number>(config: MistralConfig & { readonly hidden_size: D }): Llama<D>;
export function mistral(config: object): Llama;
export function mistral(config: object): Llama {
  const decoder = parseDecoderConfig({ ...config, attention_bias: false, mlp_bias: false }, "MistralConfig", defaults);
  const { sliding_window } = parseConfig("MistralConfig", window, config);
  return new Llama({ ...decoder, max_positions: Math.min(decoder.max_positions, sliding_window ?? Number.POSITIVE_INFINITY) });
}
