import type { Value } from "@waggle/graph";
import type { Module } from "@waggle/nn";

export interface Grid {
  readonly rows: number;
  readonly columns: number;
}

/** Patch features to visual tokens: C is the width of a feature, D that of the language model's embeddings. */
export interface Projector<C extends number = number, D extends number = number> extends Module {
  readonly vision_hidden_size: C;
  readonly text_hidden_size: D;
  /** T: the tokens that the language model receives for N patches. The only source of that number. */
  tokenCount(patches: number): number;
  /** [B, N, C] → [B, T, D] */
  forward(features: Value): Value;
}

/** A projector whose widths (and the grid of patches) are filled in by the parts that it stands between. */
export type ProjectorFactory = <C extends number, D extends number>(
  vision_hidden_size: C,
  text_hidden_size: D,
  grid: Grid,
) => Projector<C, D>;
