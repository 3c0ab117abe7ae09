/**
 * Attention over the heads of projected queries, keys and values.
 *
 *     query  [B, S, D]     key, value  [B, T, D]     D = heads · head width
 *     → output [B, S, D], and the weights [B, heads, S, T] when asked for
 */
import { ops, shapeOf, type Value } from "@waggle/graph";

export function multiHeadAttention(query: Value, key: Value, value: Value, heads: number): Value {
  const [B, S, D] = shapeOf(query, "B S? D");
  const joined = ops.attention(apart(query, heads), apart(key, heads), apart(value, heads));
  return ops.reshape(ops.transpose(joined, [0, 2, 1, 3]), [B, S, D]);
}

/** The softmax weights of {@link multiHeadAttention}: [B, heads, S, T]. */
export function attentionWeights(query: Value, key: Value, heads: number): Value {
  const [, , D] = shapeOf(query, "B S? D");
  return ops.softmax(ops.matmul(apart(query, heads), apart(key, heads), { transB: true, alpha: 1 / Math.sqrt(D / heads) }), -1);
}

/** [B, S, D] → [B, heads, S, D / heads] */
function apart(x: Value, heads: number): Value {
  const [B, S, D] = shapeOf(x, "B S? D");
  return ops.transpose(ops.reshape(x, [B, S, heads, D / heads]), [0, 2, 1, 3]);
}
