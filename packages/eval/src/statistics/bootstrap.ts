/**
 * What a lab's accuracies are worth. S seeds were trained, each was asked the same Q questions: values [S][Q], usually 1
 * for right and 0 for wrong. Another lab would have other seeds and other questions, so both are drawn anew, with
 * replacement and independently of each other: the bootstrap for two crossed random effects.
 *
 * paper  Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 2007: its variance is never too small for the
 *        questions and, like every bootstrap's, (S − 1)/S of the true one for the seeds
 */
import { random } from "@waggle/nn";

/** [seeds][questions] */
export type Values = readonly ArrayLike<number>[];

/** Which seeds and which questions each of R resamples takes. Comparisons over the same draws are paired. */
export interface Draws {
  /** R */
  readonly resamples: number;
  /** [R · S], each 0 … S−1 */
  readonly seeds: Uint32Array;
  /** [R · Q], each 0 … Q−1 */
  readonly questions: Uint32Array;
}

export interface Interval {
  readonly mean: number;
  readonly low: number;
  readonly high: number;
}

export interface Difference extends Interval {
  /** Two-sided: twice the share of resamples on the other side of zero, never 0, nor less than a sign test can say of so few questions. */
  readonly p: number;
}

/** Two on the same questions. */
export interface PairedValues {
  readonly a: Values;
  readonly b: Values;
  readonly draws: Draws;
}

/** The same numbers give the same draws; those of the seeds are the same for any number of questions. */
export function drawResamples(seeds: number, questions: number, resamples = 10_000, seed = 0): Draws {
  const draw = (name: string, size: number): Uint32Array => {
    const stream = random(seed, name);
    return Uint32Array.from({ length: resamples * size }, () => Math.floor(stream.uniform() * size));
  };
  return { resamples, seeds: draw("seeds", seeds), questions: draw("questions", questions) };
}

/** The mean over seeds and questions of each resample: [R]. */
export function resampledMeans(values: Values, { resamples, seeds, questions }: Draws): Float64Array {
  const [S, Q] = sizeOf(values);
  if (seeds.length !== resamples * S || questions.length !== resamples * Q)
    throw new RangeError(`resampledMeans: the values are [${S}][${Q}], the draws are for ${seeds.length / resamples} seeds.`);
  const means = new Float64Array(resamples);
  const sumsOf = seedSums(values, Q);
  for (let r = 0; r < resamples; r++) {
    const sums = sumsOf(seeds.subarray(r * S, (r + 1) * S));
    let sum = 0;
    for (let q = r * Q; q < (r + 1) * Q; q++) sum += sums[questions[q] ?? 0] ?? 0;
    means[r] = sum / (S * Q);
  }
  return means;
}

/** Σ over drawn seeds of every question's value. Few seeds make few different draws, so most sums have been made before. */
function seedSums(values: Values, Q: number): (drawn: Uint32Array) => Float64Array {
  const known = new Map<string, Float64Array>();
  return (drawn) => {
    const key = drawn.toSorted().join();
    const found = known.get(key);
    if (found) return found;
    const sums = new Float64Array(Q);
    for (const s of drawn) for (let q = 0; q < Q; q++) sums[q] = (sums[q] ?? 0) + (values[s]?.[q] ?? 0);
    if (known.size < 1000) known.set(key, sums);
    return sums;
  };
}

/** The mean and the interval that holds `level` of the resampled means. */
export function bootstrapInterval(values: Values, draws: Draws, level = 0.95): Interval {
  return intervalOf(meanOf(values), resampledMeans(values, draws), level);
}

/**
 * a − b on the same questions, seed by seed: seed s of both saw the same data in the same order. Questions that both get
 * right, and seeds that are good for both, take no part in it, which is why it sees more than two intervals do.
 */
export function pairedDifference(a: Values, b: Values, draws: Draws, level = 0.95): Difference {
  const [S, Q] = sizeOf(a);
  const [otherS, otherQ] = sizeOf(b);
  if (S !== otherS || Q !== otherQ)
    throw new RangeError(`pairedDifference: expected as many seeds and questions in both, got [${S}][${Q}] and [${otherS}][${otherQ}].`);
  const differences = subtracted(a, b);
  return differenceOf(meanOf(differences), resampledMeans(differences, draws), level, Q);
}

/** The same two on one set of questions and on another: (a − b on the first) − (a − b on the second). */
export function gapDifference(first: PairedValues, second: PairedValues, level = 0.95): Difference {
  const [one, other] = [first, second].map(({ a, b, draws }) => {
    const differences = subtracted(a, b);
    return { mean: meanOf(differences), means: resampledMeans(differences, draws), questions: sizeOf(a)[1] };
  });
  if (!one || !other || one.means.length !== other.means.length)
    throw new RangeError("gapDifference: expected as many resamples of both, with the same seeds.");
  const gaps = one.means.map((value, r) => value - (other.means[r] ?? 0));
  return differenceOf(one.mean - other.mean, gaps, level, Math.min(one.questions, other.questions));
}

/** Holm's correction: p values of n comparisons, so that the chance of one false alarm among all of them is what p says. */
export function holm(p: readonly number[]): readonly number[] {
  const order = p.map((_, i) => i).sort((i, j) => (p[i] ?? 0) - (p[j] ?? 0));
  const adjusted = [...p];
  let least = 0;
  for (const [rank, i] of order.entries()) {
    least = Math.max(least, Math.min(1, (p.length - rank) * (p[i] ?? 0)));
    adjusted[i] = least;
  }
  return adjusted;
}

/** Between the two nearest values in proportion, as numpy.quantile; `sorted` ascends. */
export function quantile(sorted: ArrayLike<number>, share: number): number {
  const at = share * (sorted.length - 1);
  const below = Math.floor(at);
  const low = sorted[below] ?? Number.NaN;
  return low + (at - below) * ((sorted[below + 1] ?? low) - low);
}

function differenceOf(mean: number, means: Float64Array, level: number, questions: number): Difference {
  const atMost = means.filter((value) => value <= 0).length;
  const atLeast = means.filter((value) => value >= 0).length;
  const p = Math.min(1, (2 * (Math.min(atMost, atLeast) + 1)) / (means.length + 1));
  return { ...intervalOf(mean, means, level), p: Math.max(p, 2 ** (1 - questions)) };
}

function intervalOf(mean: number, means: Float64Array, level: number): Interval {
  const sorted = means.toSorted();
  return { mean, low: quantile(sorted, (1 - level) / 2), high: quantile(sorted, (1 + level) / 2) };
}

/** a − b, [seeds][questions] */
function subtracted(a: Values, b: Values): Values {
  return a.map((row, s) => Float64Array.from(row, (value, q) => value - (b[s]?.[q] ?? 0)));
}

function meanOf(values: Values): number {
  const [S, Q] = sizeOf(values);
  return values.reduce((total, row) => total + Array.from(row).reduce((x, y) => x + y, 0), 0) / (S * Q);
}

function sizeOf(values: Values): readonly [seeds: number, questions: number] {
  const Q = values[0]?.length ?? 0;
  if (Q === 0 || values.some((row) => row.length !== Q)) {
    throw new RangeError(`bootstrap: expected as many values of every seed, got ${values.map((row) => row.length).join(", ") || "none"}.`);
  }
  return [values.length, Q];
}
