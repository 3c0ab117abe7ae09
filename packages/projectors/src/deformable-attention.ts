/**
 * Deformable attention: each query looks at `points` places around its reference point, on every level.
 *
 *     query      [B, Q, H]        what offsets and weights are read from
 *     value      [B, S, H]        S = levels · rows · columns, level by level, row by row
 *     reference  [1, Q, 2]        (x, y) in 0 … 1
 *     offsets    [B, Q, heads, levels, points, 2]    in cells of the level's grid
 *     weights    [B, Q, heads, levels · points]      softmax
 *     out        [B, Q, H]        output_proj(Σ weight · value sampled at reference + offset / (columns, rows))
 *
 * Sampling is bilinear, align_corners false, zeros outside.
 *
 * state_dict  sampling_offsets [heads·levels·points·2, H] · attention_weights [heads·levels·points, H] · value_proj · output_proj
 * paper       arXiv 2010.04159, section 4.1       reference  transformers `DeformableDetrMultiscaleDeformableAttention`
 */
import { constant, type Dim, dimMul, ops, shapeOf, type Value } from "@waggle/graph";
import { Linear, Module } from "@waggle/nn";
import type { Grid } from "./projector.ts";

export interface DeformableSizes {
  readonly width: number;
  readonly heads: number;
  readonly levels: number;
  readonly points: number;
}

/** Where the last sampling looked: locations [B, Q, heads, levels, points, 2] and weights [B, Q, heads, levels, points]. */
export interface Sampling {
  readonly locations: Value;
  readonly weights: Value;
}

export class DeformableAttention extends Module {
  readonly #sizes: DeformableSizes;
  readonly sampling_offsets: Linear;
  readonly attention_weights: Linear;
  readonly value_proj: Linear;
  readonly output_proj: Linear;

  constructor(sizes: DeformableSizes) {
    super();
    const { width, heads, levels, points } = sizes;
    this.#sizes = sizes;
    this.sampling_offsets = new Linear(width, heads * levels * points * 2);
    this.attention_weights = new Linear(width, heads * levels * points);
    this.value_proj = new Linear(width, width);
    this.output_proj = new Linear(width, width);
  }

  forward(query: Value, value: Value, reference: Value, grid: Grid): { readonly output: Value; readonly sampling: Sampling } {
    const [B, Q] = shapeOf(query, "B Q C");
    const { width, heads, levels, points } = this.#sizes;
    const cells = constant([grid.columns, grid.rows]);
    const offsets = ops.reshape(this.sampling_offsets.forward(query), [B, Q, heads, levels, points, 2]);
    const locations = ops.add(ops.reshape(reference, [1, Q, 1, 1, 1, 2]), ops.div(offsets, cells));
    const flat = ops.softmax(ops.reshape(this.attention_weights.forward(query), [B, Q, heads, levels * points]), -1);
    const weights = ops.reshape(flat, [B, Q, heads, levels, points]);
    const mixed = this.#sample(this.value_proj.forward(value), { locations, weights }, grid, B, Q);
    return { output: this.output_proj.forward(ops.reshape(mixed, [B, Q, width])), sampling: { locations, weights } };
  }

  /** Σ over levels and points of weight · sample: [B, Q, heads, H / heads] */
  #sample(value: Value, { locations, weights }: Sampling, { rows, columns }: Grid, B: Dim, Q: number): Value {
    const { width, heads, levels, points } = this.#sizes;
    const depth = width / heads;
    const pictures = dimMul(B, heads);
    const byHead = ops.sub(ops.mul(ops.transpose(locations, [0, 2, 3, 1, 4, 5]), 2), 1); // [B, heads, levels, Q, points, 2]
    const shares = ops.transpose(weights, [0, 2, 3, 1, 4]); // [B, heads, levels, Q, points]
    const sums = Array.from({ length: levels }, (_, level) => {
      const cells = ops.slice(value, { axis: 1, start: level * rows * columns, end: (level + 1) * rows * columns });
      const maps = ops.transpose(ops.reshape(cells, [B, rows, columns, heads, depth]), [0, 3, 4, 1, 2]);
      const at = ops.slice(byHead, { axis: 2, start: level, end: level + 1 });
      const sampled = ops.gridSample(ops.reshape(maps, [pictures, depth, rows, columns]), ops.reshape(at, [pictures, Q, points, 2]));
      const share = ops.reshape(ops.slice(shares, { axis: 2, start: level, end: level + 1 }), [pictures, 1, Q, points]);
      return ops.reduceSum(ops.mul(sampled, share), { axes: [3] }); // [B·heads, depth, Q]
    });
    const sum = sums.reduce((a, b) => ops.add(a, b));
    return ops.transpose(ops.reshape(sum, [B, heads, depth, Q]), [0, 3, 1, 2]);
  }
}
