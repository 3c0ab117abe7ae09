/** What a visual token was made from. T: tokens, N: patches, K: sampling points of a token. */
import type { Value } from "@waggle/graph";

export type ProjectorMaps =
  /** Weights over the patches, [B, T, N] (mean over heads, last layer with cross-attention). */
  | { readonly kind: "attention"; readonly weights: Value }
  /** Places (x, y) in 0 … 1, [B, T, K, 2], and the weights [B, T, K] with which they are mixed (last layer). */
  | { readonly kind: "points"; readonly locations: Value; readonly weights: Value }
  /** The bins of a pool, [T, N]: each row sums to 1. */
  | { readonly kind: "bins"; readonly weights: Value };
