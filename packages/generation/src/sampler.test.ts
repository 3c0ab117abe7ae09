import { expect, test } from "vitest";
import { logitsProcessors } from "./logits/processors.ts";
import { resolveOptions } from "./options.ts";
import { RandomNumbers } from "./random.ts";
import { greedySampler, randomSampler } from "./sampler.ts";

const facts = { promptLength: 1, maxLength: 100 };

test("greedy takes the best, of equal ones the lowest id", () => {
  expect(greedySampler([]).next(Float32Array.of(1, 3, 2, 3), [])).toBe(1);
  expect(greedySampler([]).next(Float32Array.of(-Infinity, -5), [])).toBe(1);
});

test("draws follow the distribution that the processors leave", () => {
  const chain = logitsProcessors(resolveOptions({ do_sample: true, top_k: 3, temperature: 0.5 }), facts);
  const logits = [0.2, 1, -3, 0.8, 0.6, -1];
  const sampler = randomSampler(chain, new RandomNumbers(9));
  const draws = 20_000;
  const counts = new Array<number>(6).fill(0);
  for (let i = 0; i < draws; i++) {
    const id = sampler.next(Float32Array.from(logits), []);
    counts[id] = (counts[id] ?? 0) + 1;
  }
  const weights = [0, Math.exp(2), 0, Math.exp(1.6), Math.exp(1.2), 0];
  const total = weights.reduce((a, b) => a + b, 0);
  for (const [id, weight] of weights.entries()) {
    const p = weight / total;
    // five standard deviations of a binomial
    expect(Math.abs((counts[id] ?? 0) - draws * p)).toBeLessThanOrEqual(5 * Math.sqrt(draws * p * (1 - p)));
  }
});

test("the same seed draws the same tokens, another seed others", () => {
  const draw = (seed: number) => {
    const sampler = randomSampler([], new RandomNumbers(seed));
    return Array.from({ length: 30 }, () => sampler.next(new Float32Array(50), []));
  };
  expect(draw(4)).toEqual(draw(4));
  expect(draw(4)).not.toEqual(draw(5));
});

test.each([
  ["NaN", Float32Array.of(1, Number.NaN)],
  ["nothing left", Float32Array.of(-Infinity, -Infinity)],
])("scores with %s are an error, not a token", (_, logits) => {
  expect(() => greedySampler([]).next(logits.slice(), [])).toThrow("the scores of the next token have");
  expect(() => randomSampler([], new RandomNumbers(1)).next(logits.slice(), [])).toThrow("the scores of the next token have");
});
