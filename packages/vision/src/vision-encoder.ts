import type { Value } from "@waggle/graph";
import type { Module } from "@waggle/nn";

export interface Grid {
  readonly rows: number;
  readonly columns: number;
}

/** Pixels to patch features. C is the width of one feature. */
export interface VisionEncoder<C extends number = number> extends Module {
  readonly hidden_size: C;
  readonly grid: Grid;
  /** The size of the pictures it takes. */
  readonly image_size: { readonly height: number; readonly width: number };
  /** N: features per picture, rows · columns and one more where the class token is kept. */
  readonly patches: number;
  /** [B, 3, H, W] → [B, N, C], patches row by row */
  forward(pixel_values: Value): Value;
}
