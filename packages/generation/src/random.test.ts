import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { RandomNumbers, randomSeed } from "./random.ts";

interface Row {
  readonly seed: number;
  readonly uint32: readonly number[];
  readonly numbers: readonly number[];
}

// reference/generation/vectors.py: the two published algorithms, written in Python.
const rows: readonly Row[] = JSON.parse(readFileSync(new URL("__vectors__/random.json", import.meta.url), "utf8"));

test.each(rows)("seed $seed gives the numbers of xoshiro128** seeded by SplitMix64", ({ seed, uint32, numbers }) => {
  const words = new RandomNumbers(seed);
  expect(uint32.map(() => words.uint32())).toEqual(uint32);
  const random = new RandomNumbers(seed);
  expect(numbers.map(() => random.next())).toEqual(numbers);
});

test("numbers spread evenly over [0, 1)", () => {
  const random = new RandomNumbers(5);
  const tenths = new Array<number>(10).fill(0);
  for (let i = 0; i < 20_000; i++) {
    const slot = Math.floor(random.next() * 10);
    tenths[slot] = (tenths[slot] ?? 0) + 1;
  }
  // 2000 each; the standard deviation is 42.
  for (const count of tenths) expect(Math.abs(count - 2000)).toBeLessThan(250);
});

test("random seeds are usable and differ", () => {
  const seeds = Array.from({ length: 20 }, randomSeed);
  expect(seeds.every((seed) => Number.isSafeInteger(seed) && seed >= 0)).toBe(true);
  expect(new Set(seeds).size).toBe(20);
});
