/** An adapter over its base: every W that it has an update for becomes W + scale · B · A, computed in float32 when W is read. */
import { readFloat32 } from "@waggle/checkpoint";
import type { WeightSource } from "@waggle/graph";
import { computedSource } from "./computed-source.ts";
import type { StateDict } from "./load-state-dict.ts";
import { type Adapter, AdapterError, type LowRankUpdate } from "./lora-adapter.ts";

/**
 * The base's tensors with the adapter in them; nothing is read yet. `spelling` brings the keys of base and adapter to one
 * form, where they may differ. `product` multiplies large matrices, of which JavaScript makes half a billion steps a
 * second. An adapter for another base is one error that lists all that does not fit.
 */
export function mergeAdapter(
  base: StateDict,
  adapter: Adapter,
  spelling: (key: string) => string = (key) => key,
  product?: MatrixProduct,
): StateDict {
  const places = new Map(Array.from(base.tensors.keys(), (key) => [spelling(key), key]));
  const tensors = new Map(base.tensors);
  const problems: string[] = [];
  // What was trained whole may be new to the base (a projector over a language model), or of another shape (Honeybee's table
  // of positions, published with a row that nobody reads): the module says whether it belongs.
  for (const [key, tensor] of adapter.replacements) {
    const place = places.get(spelling(key));
    tensors.set(place ?? key, tensor);
    places.set(spelling(key), place ?? key);
  }
  for (const [key, update] of adapter.updates) {
    const place = places.get(spelling(key));
    const weight = place === undefined ? undefined : tensors.get(place);
    const [rows, columns] = [update.B.shape[0] ?? 0, update.A.shape[1] ?? 0];
    if (place === undefined || weight === undefined) problems.push(`${key} is not in the base.`);
    else {
      const misfit = shapeMisfit(weight, update.transposed ? [columns, rows] : [rows, columns]);
      if (misfit) problems.push(`${key} ${misfit}`);
      tensors.set(place, mergedSource(weight, update, product));
    }
  }
  if (problems.length === 0) return { source: `${base.source} + ${adapter.source}`, tensors };
  const count = adapter.updates.size + adapter.replacements.size;
  throw new AdapterError(
    adapter.source,
    `was trained over another base than ${base.source}: ${problems.length} of ${count} weights do not fit; nothing was loaded.`,
    problems,
  );
}

function shapeMisfit(weight: WeightSource | undefined, shape: readonly number[]): string | undefined {
  const [is, made] = [(weight?.shape ?? []).join(", "), shape.join(", ")];
  return is === made ? undefined : `is [${is}] in the base, the adapter's is for [${made}].`;
}

/** left [m, k] · right [k, n] → [m, n], row by row. */
export type MatrixProduct = (left: Float32Array, right: Float32Array, k: number) => Promise<Float32Array>;

/** Multiply-adds from which on it is worth to ask somebody else. */
const LARGE = 2 ** 26;

/** A weight with an update in it, and what it was made of. */
export interface MergedSource extends WeightSource {
  readonly base: WeightSource;
  readonly update: LowRankUpdate;
}

/** Is it a weight that {@link mergeAdapter} put an update into? */
export function isMerged(source: WeightSource | null): source is MergedSource {
  return source !== null && "update" in source && "base" in source;
}

export function mergedSource(weight: WeightSource, update: LowRankUpdate, product?: MatrixProduct): MergedSource {
  const { A, B, scale, transposed } = update;
  const content = ["lora", weight.fingerprint, A.fingerprint, B.fingerprint, scale, transposed].join(" ");
  const source = computedSource("float32", weight.shape, content, async () => {
    const [W, a, b] = await Promise.all([readFloat32(weight), readFloat32(A), readFloat32(B)]);
    const rank = A.shape[0] ?? 0;
    const [left, right] = transposed ? [transpose(a, rank), transpose(b, B.shape[0] ?? 0)] : [b, a];
    if (product === undefined || W.length * rank < LARGE) addProduct(W, left, right, rank, scale);
    else addScaled(W, await product(left, right, rank), scale);
    return W;
  });
  return { ...source, base: weight, update };
}

function addScaled(W: Float32Array, update: Float32Array, scale: number): void {
  for (let i = 0; i < W.length; i++) W[i] = (W[i] as number) + scale * (update[i] as number);
}

const SIDE = 4;

/** W [m, n] += scale · L [m, rank] · R [rank, n]; sums in float64, rounded once. */
function addProduct(W: Float32Array, L: Float32Array, R: Float32Array, rank: number, scale: number): void {
  const columns = transpose(R, rank); // a column of R lies in a row, as a row of L does
  const [m, n] = [L.length / rank, R.length / rank];
  const sums = new Float64Array(SIDE * SIDE);
  for (let top = 0; top < m; top += SIDE) {
    for (let left = 0; left < n; left += SIDE) {
      multiplyBlock(L, top, m - 1, columns, left, n - 1, rank, sums);
      for (let i = 0; i < Math.min(SIDE, m - top); i++) {
        for (let j = 0; j < Math.min(SIDE, n - left); j++) {
          const at = (top + i) * n + left + j;
          W[at] = (W[at] as number) + scale * (sums[i * SIDE + j] as number);
        }
      }
    }
  }
}

/** Four rows of L by four of R, whose sums stay in registers: twice as fast as row by row. Beyond the last row it takes the last again. */
function multiplyBlock(
  L: Float32Array,
  top: number,
  lastRow: number,
  R: Float32Array,
  left: number,
  lastColumn: number,
  rank: number,
  sums: Float64Array,
): void {
  const at = (index: number, last: number): number => Math.min(index, last) * rank;
  const [a, b, c, d] = [at(top, lastRow), at(top + 1, lastRow), at(top + 2, lastRow), at(top + 3, lastRow)];
  const [p, q, r, s] = [at(left, lastColumn), at(left + 1, lastColumn), at(left + 2, lastColumn), at(left + 3, lastColumn)];
  let [ap, aq, ar, as, bp, bq, br, bs, cp, cq, cr, cs, dp, dq, dr, ds] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
  for (let k = 0; k < rank; k++) {
    const wa = L[a + k] as number;
    const wb = L[b + k] as number;
    const wc = L[c + k] as number;
    const wd = L[d + k] as number;
    const xp = R[p + k] as number;
    const xq = R[q + k] as number;
    const xr = R[r + k] as number;
    const xs = R[s + k] as number;
    ap += wa * xp;
    aq += wa * xq;
    ar += wa * xr;
    as += wa * xs;
    bp += wb * xp;
    bq += wb * xq;
    br += wb * xr;
    bs += wb * xs;
    cp += wc * xp;
    cq += wc * xq;
    cr += wc * xr;
    cs += wc * xs;
    dp += wd * xp;
    dq += wd * xq;
    dr += wd * xr;
    ds += wd * xs;
  }
  sums.set([ap, aq, ar, as, bp, bq, br, bs, cp, cq, cr, cs, dp, dq, dr, ds]);
}

function transpose(values: Float32Array, rows: number): Float32Array {
  const columns = values.length / rows;
  const turned = new Float32Array(values.length);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) turned[column * rows + row] = values[row * columns + column] as number;
  return turned;
}
