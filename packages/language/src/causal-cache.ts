/**
 * No past at all: the whole sequence at once, every token looking at itself and at what stands before it. For training,
 * tests and single runs.
 *
 *     position_ids    [B, S]  default: counted over the tokens that the mask leaves, or 0, 1, 2, … without a mask
 *     attention_mask  [B, S]  int64; 0 = padding, on either side. Nobody looks at it; what it yields itself means nothing.
 */
import { LOWEST, ops, shapeOf, type Value } from "@waggle/graph";
import { checkOptions } from "@waggle/nn";
import type { KeyValueCache } from "./key-value-cache.ts";

export interface CausalCacheOptions {
  readonly position_ids?: Value;
  readonly attention_mask?: Value;
}

export function causalCache(options: CausalCacheOptions = {}): KeyValueCache {
  checkOptions("causalCache", options, ["position_ids", "attention_mask"]);
  const { attention_mask, position_ids } = options;
  const mask = attention_mask && causalMask(attention_mask);
  return {
    positions(inputs_embeds) {
      if (position_ids !== undefined) return position_ids;
      if (attention_mask !== undefined) return countedPositions(attention_mask);
      const [B, S] = shapeOf(inputs_embeds, "B S? D?");
      return ops.expand(ops.unsqueeze(ops.range(S), 0), [B, S]);
    },
    attend(_layer, q, k, v, attendOptions = {}) {
      return ops.attention(q, k, v, mask === undefined ? { ...attendOptions, causal: true } : { ...attendOptions, mask });
    },
  };
}

/** Positions as transformers' `generate` counts them: the first token that is not padding has position 0. */
function countedPositions(attention_mask: Value): Value {
  return ops.maximum(ops.sub(ops.cumsum(attention_mask, 1), 1), 0);
}

/** [B, S] → additive [B, 1, S, S]: 0 where row i may look at column j, the lowest float elsewhere. */
function causalMask(attention_mask: Value): Value {
  const [B, S] = shapeOf(attention_mask, "B S?");
  const steps = ops.range(S);
  const causal = ops.lessOrEqual(ops.unsqueeze(steps, 0), ops.unsqueeze(steps, 1)); // [S, S]: j ≤ i
  const real = ops.reshape(ops.greater(attention_mask, 0), [B, 1, 1, S]);
  // Not −∞: a padding row on the left may look at nothing, and the softmax of only −∞ is NaN.
  return ops.where(ops.and(causal, real), 0, LOWEST);
}
