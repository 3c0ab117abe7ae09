/** numpy's and scipy's numbers, made by reference/eval/bootstrap.py. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import {
  bootstrapInterval,
  type Draws,
  drawResamples,
  gapDifference,
  holm,
  pairedDifference,
  quantile,
  resampledMeans,
} from "./bootstrap.ts";

const vectors = JSON.parse(readFileSync(new URL("../__vectors__/bootstrap.json", import.meta.url), "utf8"));
const { a, b }: Record<"a" | "b", number[][]> = vectors;
const draws: Draws = {
  resamples: vectors.resamples,
  seeds: Uint32Array.from(vectors.seeds as number[]),
  questions: Uint32Array.from(vectors.questions as number[]),
};
const first = (values: readonly number[][]): number[][] => values.slice(0, 1);

describe("with the same draws, numpy's numbers", () => {
  test("the mean of every resample", () => {
    const means = [...resampledMeans(a, draws)];
    expect(means).toHaveLength(vectors.means.length);
    for (const [i, mean] of means.entries()) expect(mean).toBeCloseTo(vectors.means[i], 12);
  });

  test("interval and paired difference", () => {
    const { mean, low, high } = bootstrapInterval(a, draws);
    for (const [i, value] of [mean, low, high].entries()) expect(value).toBeCloseTo(vectors.interval[i], 12);
    const found = pairedDifference(a, b, draws);
    for (const [i, value] of [found.mean, found.low, found.high, found.p].entries()) expect(value).toBeCloseTo(vectors.difference[i], 12);
  });

  test("how much larger a difference is on some questions than on others", () => {
    const cut = (from: number, to: number) => {
      const part = (values: readonly number[][]): number[][] => values.map((row) => row.slice(from, to));
      const drawn = (_: unknown, i: number): number => {
        const [r, q] = [Math.floor(i / (to - from)), i % (to - from)];
        return (draws.questions[r * 40 + from + q] ?? 0) % (to - from);
      };
      const questions = Uint32Array.from({ length: draws.resamples * (to - from) }, drawn);
      return { a: part(a), b: part(b), draws: { ...draws, questions } };
    };
    const { mean, low, high, p } = gapDifference(cut(0, 15), cut(15, 40));
    for (const [i, value] of [mean, low, high, p].entries()) expect(value).toBeCloseTo(vectors.gap[i], 12);
  });

  test("Holm's correction", () => {
    for (const [i, p] of holm(vectors.p).entries()) expect(p).toBeCloseTo(vectors.holm[i], 12);
  });
});

test("with draws of our own and one seed, the intervals of scipy.stats.bootstrap to a question's width", () => {
  const own = drawResamples(1, 40, 20_000);
  const alone = bootstrapInterval(first(a), own);
  const paired = pairedDifference(first(a), first(b), own);
  for (const [{ low, high }, expected] of [
    [alone, vectors.scipy_one_seed],
    [paired, vectors.scipy_paired_one_seed],
  ]) {
    expect(Math.abs(low - expected[0])).toBeLessThanOrEqual(1 / 40 + 1e-9);
    expect(Math.abs(high - expected[1])).toBeLessThanOrEqual(1 / 40 + 1e-9);
  }
});

test("the spread is the standard error of a two-way layout with random seeds and random questions", () => {
  const { values, standard_error } = vectors.crossed as { values: number[][]; standard_error: number };
  const means = resampledMeans(values, drawResamples(values.length, values[0]?.length ?? 0, 4000));
  const mean = means.reduce((x, y) => x + y, 0) / means.length;
  const spread = Math.sqrt(means.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (means.length - 1));
  expect(spread / standard_error).toBeGreaterThan(0.92);
  expect(spread / standard_error).toBeLessThan(1.08);
});

test("a few questions, all won, prove no more than so many coins", () => {
  const all = (value: number, questions: number): number[][] => [new Array<number>(questions).fill(value)];
  const p = [1, 3, 40].map((n) => pairedDifference(all(1, n), all(0, n), drawResamples(1, n, 1000)).p);
  expect(p).toEqual([1, 0.25, 2 / 1001]);
  const won = { a: all(1, 3), b: all(0, 3), draws: drawResamples(1, 3, 1000) };
  const even = { a: all(0, 40), b: all(0, 40), draws: drawResamples(1, 40, 1000) };
  expect(gapDifference(won, even).p).toBe(0.25);
});

test("the same seed draws the same; sizes that do not fit are refused", () => {
  expect(drawResamples(3, 5, 10, 7)).toEqual(drawResamples(3, 5, 10, 7));
  expect(drawResamples(3, 5, 10, 7)).not.toEqual(drawResamples(3, 5, 10, 8));
  expect(() => pairedDifference(a, first(b), draws)).toThrow(/\[3\]\[40\] and \[1\]\[40\]/);
  expect(() => resampledMeans([[1, 0], [1]], draws)).toThrow(/2, 1/);
  expect(quantile([1, 2, 4], 0.75)).toBe(3);
});
