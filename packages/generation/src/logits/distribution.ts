/**
 * Arithmetic on a row of scores that several rules share. Sums are taken in float64 over the finite scores only; after
 * a top-k these are few, so what follows costs next to nothing.
 */

/** A row's surviving tokens: ids ascending, and their probabilities. */
export interface Survivors {
  readonly ids: Uint32Array;
  readonly probabilities: Float64Array;
}

/** Softmax over the scores that are not −∞. */
export function survivors(scores: Float32Array): Survivors {
  let count = 0;
  let best = -Infinity;
  for (const score of scores) {
    if (score === -Infinity) continue;
    count++;
    if (score > best) best = score;
  }
  const ids = new Uint32Array(count);
  const probabilities = new Float64Array(count);
  let sum = 0;
  let next = 0;
  for (const [id, score] of scores.entries()) {
    if (score === -Infinity) continue;
    const weight = Math.exp(score - best);
    ids[next] = id;
    probabilities[next++] = weight;
    sum += weight;
  }
  for (const [i, weight] of probabilities.entries()) probabilities[i] = weight / sum;
  return { ids, probabilities };
}

/** −Σ p·ln p */
export function entropy(probabilities: Float64Array): number {
  let sum = 0;
  for (const p of probabilities) if (p > 0) sum -= p * Math.log(p);
  return sum;
}

/** The `k`-th largest of `values` (k from 1 to their number). */
export function kthLargest(values: Float32Array, k: number): number {
  if (k > 128) return values.slice().sort().at(-k) ?? -Infinity;
  // The k best so far, ascending: nearly every value of a long row fails the first comparison.
  const best: number[] = [];
  for (const value of values) {
    if (best.length === k && value <= (best[0] ?? -Infinity)) continue;
    let at = best.length;
    while (at > 0 && (best[at - 1] ?? -Infinity) > value) at--;
    best.splice(at, 0, value);
    if (best.length > k) best.shift();
  }
  return best[0] ?? -Infinity;
}
