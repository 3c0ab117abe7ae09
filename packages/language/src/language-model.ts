import type { Value } from "@waggle/graph";
import type { Module } from "@waggle/nn";
import type { KeyValueCache } from "./key-value-cache.ts";

/** Embeddings to logits. D is the width of the embeddings, V the rows of the vocabulary (padding included). */
export interface LanguageModel<D extends number = number> extends Module {
  readonly hidden_size: D;
  readonly layers: number;
  readonly kv_heads: number;
  readonly head_dim: number;
  readonly vocab_size: number;
  /** Positions that the model can tell apart; Infinity where nothing bounds them (dynamic rotary scaling). */
  readonly max_positions: number;
  /**
   * True where keys depend on how long the whole input is (dynamic rotary scaling beyond its trained length). A prompt
   * then has to be prefilled in one piece, or its first keys are those of a shorter prompt.
   */
  readonly keysDependOnLength: boolean;
  /** [B, S] → [B, S, D] */
  embed(input_ids: Value): Value;
  /** [B, S, D] → [B, S, D], the final norm applied. */
  decode(inputs_embeds: Value, cache: KeyValueCache): Value;
  /** [B, S, D] → [B, S, V] */
  head(hidden: Value): Value;
  /** [B, S, D] → logits [B, S, V] */
  forward(inputs_embeds: Value, cache: KeyValueCache): Value;
}
