import { ops, type Value } from "@waggle/graph";
import type { Grid } from "./vision-encoder.ts";

/**
 * A learned table of positions for another grid of patches: the class token's row is kept, the patches' rows are
 * resized as a picture of C channels, bicubic (a = −0.75), corners not aligned.
 *
 *     table  [1 + rows·columns, C]  →  [1 + rows'·columns', C]
 *
 * reference  transformers `interpolate_pos_encoding`
 */
export function interpolatePositions(table: Value, from: Grid, to: Grid): Value {
  if (from.rows === to.rows && from.columns === to.columns) return table;
  const width = Number(table.shape[1]);
  const classRow = ops.slice(table, { axis: 0, end: 1 });
  const picture = ops.transpose(ops.reshape(ops.slice(table, { axis: 0, start: 1 }), [1, from.rows, from.columns, width]), [0, 3, 1, 2]);
  const resized = ops.resize(picture, [to.rows, to.columns], { mode: "cubic", cubicCoefficient: -0.75 }); // [1, C, rows', columns']
  return ops.concat([classRow, ops.reshape(ops.transpose(resized, [0, 2, 3, 1]), [to.rows * to.columns, width])], 0);
}
