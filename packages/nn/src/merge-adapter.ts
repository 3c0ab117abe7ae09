/** An adapter over its base: every W that it has an update for becomes W + scale · B · A, computed in float32 when W is read. */
import { readFloat32 } from "@waggle/checkpoint";
import type { WeightSource } from "@waggle/graph";
import { computedSource } from "./computed-source.ts";
import type { StateDict } from "./load-state-dict.ts";
import { type Adapter, AdapterError, type LowRankUpdate } from "./lora-adapter.ts";

/**
 * The base's tensors with the adapter in them; nothing is read yet. `spelling` brings the keys of base and adapter to one
 * form, where they may differ. An adapter for another base is one error that lists all that does not fit.
 */
export function mergeAdapter(base: StateDict, adapter: Adapter, spelling: (key: string) => string = (key) => key): StateDict {
  const places = new Map(Array.from(base.tensors.keys(), (key) => [spelling(key), key]));
  const tensors = new Map(base.tensors);
  const problems: string[] = [];
  // What was trained whole may be new to the base (a projector over a language model): the module says whether it belongs.
  for (const [key, tensor] of adapter.replacements) {
    const place = places.get(spelling(key));
    const misfit = place === undefined ? undefined : shapeMisfit(base.tensors.get(place), tensor.shape);
    if (misfit) problems.push(`${key} ${misfit}`);
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
      tensors.set(place, merged(weight, update));
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

function merged(weight: WeightSource, update: LowRankUpdate): WeightSource {
  const { A, B, scale, transposed } = update;
  const content = ["lora", weight.fingerprint, A.fingerprint, B.fingerprint, scale, transposed].join(" ");
  return computedSource("float32", weight.shape, content, async () => {
    const [W, a, b] = await Promise.all([readFloat32(weight), readFloat32(A), readFloat32(B)]);
    const rank = A.shape[0] ?? 0;
    if (transposed) addProduct(W, transpose(a, rank), transpose(b, B.shape[0] ?? 0), rank, scale);
    else addProduct(W, b, a, rank, scale);
    return W;
  });
}

/** W [m, n] += scale · L [m, rank] · R [rank, n]. Rows are summed in float64 and rounded once. */
function addProduct(W: Float32Array, L: Float32Array, R: Float32Array, rank: number, scale: number): void {
  const n = rank === 0 ? 0 : R.length / rank;
  const sum = new Float64Array(n);
  for (let row = 0; row * n < W.length; row++) {
    sum.fill(0);
    for (let k = 0; k < rank; k += 4) {
      const [w, x, y, z] = [0, 1, 2, 3].map((i) => (k + i < rank ? (L[row * rank + k + i] as number) : 0)) as [
        number,
        number,
        number,
        number,
      ];
      const at = (i: number): number => Math.min(k + i, rank - 1) * n; // a row past the last counts 0 times
      const [p, q, r, s] = [at(0), at(1), at(2), at(3)];
      for (let j = 0; j < n; j++) {
        sum[j] =
          (sum[j] as number) + w * (R[p + j] as number) + x * (R[q + j] as number) + y * (R[r + j] as number) + z * (R[s + j] as number);
      }
    }
    for (let j = 0; j < n; j++) W[row * n + j] = (W[row * n + j] as number) + scale * (sum[j] as number);
  }
}

function transpose(values: Float32Array, rows: number): Float32Array {
  const columns = values.length / rows;
  const turned = new Float32Array(values.length);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) turned[column * rows + row] = values[row * columns + column] as number;
  return turned;
}
