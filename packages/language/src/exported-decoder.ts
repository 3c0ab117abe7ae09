/**
 * The decoder as the ONNX community exchanges it (optimum's and transformers.js's names): the cache comes in whole and goes
 * out whole, one longer. Any ONNX tool runs it; our own engine uses {@link decoderGraph}, which copies less.
 *
 *     inputs_embeds            [B, S, D]
 *     attention_mask           [B, P + S] int64, 0 = padding
 *     position_ids             [B, S] int64
 *     past_key_values.N.key    [B, Hkv, P, Dh], .value likewise; P = 0 at the beginning
 *
 *     logits                   [B, S, V]
 *     present.N.key            [B, Hkv, P + S, Dh], .value likewise
 *
 * and the embedding of tokens: input_ids [B, S] → inputs_embeds [B, S, D].
 */
import { type Dim, dimAdd, type GraphDefinition, input, LOWEST, ops, symbol, type Value } from "@waggle/graph";
import type { AttendOptions, KeyValueCache } from "./key-value-cache.ts";
import type { LanguageModel } from "./language-model.ts";
import type { KeyValue } from "./past-cache.ts";

export function exportedDecoder(language: LanguageModel): GraphDefinition {
  const [B, S, P] = [symbol("batch_size"), symbol("sequence_length"), symbol("past_sequence_length")];
  const { hidden_size, kv_heads, head_dim } = language;
  const inputs_embeds = input("inputs_embeds", "float32", [B, S, hidden_size]);
  const attention_mask = input("attention_mask", "int64", [B, dimAdd(P, S)]);
  const position_ids = input("position_ids", "int64", [B, S]);
  const past = Array.from({ length: language.layers }, (_, layer) => ({
    key: input(`past_key_values.${layer}.key`, "float32", [B, kv_heads, P, head_dim]),
    value: input(`past_key_values.${layer}.value`, "float32", [B, kv_heads, P, head_dim]),
  }));
  const cache = new WholeCache(position_ids, visible(attention_mask, B, S, P), past);
  const logits = language.forward(inputs_embeds, cache);
  return {
    name: "decoder",
    inputs: { inputs_embeds, attention_mask, position_ids, ...named("past_key_values", past) },
    outputs: { logits, ...named("present", cache.presents) },
  };
}

export function exportedEmbedding(language: LanguageModel): GraphDefinition {
  const input_ids = input("input_ids", "int64", [symbol("batch_size"), symbol("sequence_length")]);
  return { name: "embed_tokens", inputs: { input_ids }, outputs: { inputs_embeds: language.embed(input_ids) } };
}

class WholeCache implements KeyValueCache {
  readonly presents: KeyValue[] = [];
  readonly #position_ids: Value;
  readonly #mask: Value;
  readonly #past: readonly KeyValue[];

  constructor(position_ids: Value, mask: Value, past: readonly KeyValue[]) {
    this.#position_ids = position_ids;
    this.#mask = mask;
    this.#past = past;
  }

  positions(): Value {
    return this.#position_ids;
  }

  attend(layer: number, q: Value, k: Value, v: Value, options: AttendOptions = {}): Value {
    const past = this.#past[layer];
    if (past === undefined) throw new RangeError(`WholeCache: expected a layer below ${this.#past.length}, got ${layer}.`);
    const present = { key: ops.concat([past.key, k], 2), value: ops.concat([past.value, v], 2) };
    this.presents[layer] = present;
    return ops.attention(q, present.key, present.value, { ...options, mask: this.#mask });
  }
}

/** [B, P + S] → additive [B, 1, S, P + S]: new token i sees what stands up to P + i and is not padding. */
function visible(attention_mask: Value, B: Dim, S: Dim, P: Dim): Value {
  const columns = ops.unsqueeze(ops.range(dimAdd(P, S)), 0);
  const rows = ops.unsqueeze(ops.range(P, dimAdd(P, S)), 1);
  const real = ops.reshape(ops.greater(attention_mask, 0), [B, 1, 1, dimAdd(P, S)]);
  return ops.where(ops.and(ops.lessOrEqual(columns, rows), real), 0, LOWEST);
}

function named(prefix: string, layers: readonly KeyValue[]): Record<string, Value> {
  return Object.fromEntries(
    layers.flatMap(({ key, value }, layer) => [
      [`${prefix}.${layer}.key`, key],
      [`${prefix}.${layer}.value`, value],
    ]),
  );
}
