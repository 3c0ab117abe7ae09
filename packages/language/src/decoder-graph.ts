/**
 * The decoder protocol: one graph that prefills (S = a chunk) and decodes (S = 1), for any language model.
 *
 *     input_ids                [B, S]  int64
 *     features                 [F, D]  rows that stand for image tokens; F ≥ 1 (a row of zeros where there is no image)
 *     feature_rows             [B, S]  int64: the row of `features` that stands here, −1: embed the token
 *     position_ids             [B, S]  int64
 *     past_lengths             [B]     int64
 *     past_key_values.N.key    [B, Hkv, Dh, P]   P = capacity ≥ every past length; 0 is allowed
 *     past_key_values.N.value  [B, Hkv, P, Dh]
 *
 *     logits                   [B, V]  of the last position
 *     present.N.key            [B, Hkv, Dh, S]   what is new, to be written behind the past
 *     present.N.value          [B, Hkv, S, Dh]
 *
 * Where a feature stands, the token id is not looked at; it may be any number.
 */
import { constant, type GraphDefinition, input, ops, symbol, type Value } from "@waggle/graph";
import type { LanguageModel } from "./language-model.ts";
import { PastCache } from "./past-cache.ts";

export function decoderGraph(language: LanguageModel): GraphDefinition {
  const [B, S, P, F] = [symbol("B"), symbol("S"), symbol("P"), symbol("F")];
  const { hidden_size, kv_heads, head_dim } = language;
  const tokens = {
    input_ids: input("input_ids", "int64", [B, S]),
    features: input("features", "float32", [F, hidden_size]),
    feature_rows: input("feature_rows", "int64", [B, S]),
    position_ids: input("position_ids", "int64", [B, S]),
    past_lengths: input("past_lengths", "int64", [B]),
  };
  const past = Array.from({ length: language.layers }, (_, layer) => ({
    key: input(`past_key_values.${layer}.key`, "float32", [B, kv_heads, head_dim, P]),
    value: input(`past_key_values.${layer}.value`, "float32", [B, kv_heads, P, head_dim]),
  }));
  const cache = new PastCache({ position_ids: tokens.position_ids, past_lengths: tokens.past_lengths, past });
  const hidden = language.decode(merge(language, tokens), cache);
  const last = ops.squeeze(ops.slice(hidden, { axis: 1, start: -1 }), 1);
  return {
    inputs: { ...tokens, ...named("past_key_values", past) },
    outputs: { logits: ops.squeeze(language.head(ops.unsqueeze(last, 1)), 1), ...named("present", cache.presents) },
  };
}

interface Tokens {
  readonly input_ids: Value;
  readonly features: Value;
  readonly feature_rows: Value;
}

/** Embeddings of the tokens, with the features in their places: [B, S, D]. */
function merge(language: LanguageModel, { input_ids, features, feature_rows }: Tokens): Value {
  const isFeature = ops.greaterOrEqual(feature_rows, 0);
  const embedded = language.embed(ops.where(isFeature, constant(0n), input_ids));
  return ops.where(ops.unsqueeze(isFeature, 2), ops.gather(features, ops.maximum(feature_rows, 0), 0), embedded);
}

function named(prefix: string, layers: readonly { readonly key: Value; readonly value: Value }[]): Record<string, Value> {
  return Object.fromEntries(
    layers.flatMap(({ key, value }, layer) => [
      [`${prefix}.${layer}.key`, key],
      [`${prefix}.${layer}.value`, value],
    ]),
  );
}
