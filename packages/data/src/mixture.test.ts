import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import type { Dataset } from "./dataset.ts";
import { chosenPart, mixture } from "./mixture.ts";

const golden = (name: string): string => fileURLToPath(new URL(`../../../golden/${name}`, import.meta.url));

interface Honeybee {
  readonly mixture: {
    readonly runs: readonly { readonly weights: readonly number[]; readonly dataset_draws: readonly (readonly [number, number])[] }[];
    readonly official_list: readonly number[];
  };
}

interface MiniGpt4 {
  readonly mixture: {
    readonly rows: readonly {
      readonly ratios: readonly number[] | null;
      readonly normalized: readonly number[];
      readonly draws: readonly (readonly [number, number])[];
    }[];
  };
}

const honeybee = JSON.parse(readFileSync(golden("data-honeybee/expected.json"), "utf8")) as Honeybee;
const miniGpt4 = JSON.parse(readFileSync(golden("data-minigpt4/expected.json"), "utf8")) as MiniGpt4;

describe("the drawn number chooses the part that it chose in the original", () => {
  test("Honeybee", () => {
    for (const { weights, dataset_draws } of honeybee.mixture.runs) {
      expect(dataset_draws.map(([u]) => chosenPart(weights, u))).toEqual(dataset_draws.map(([, part]) => part));
    }
  });

  test("MiniGPT-4", () => {
    for (const { normalized, draws } of miniGpt4.mixture.rows) {
      expect(draws.map(([u]) => chosenPart(normalized, u))).toEqual(draws.map(([, part]) => part));
    }
  });
});

function named(name: string, length: number): Dataset {
  return { name, length, sample: (index, epoch) => ({ id: `${name} ${index} ${epoch}`, images: [], conversations: [] }) };
}

const parts = [
  { dataset: named("a", 10), weight: 115 },
  { dataset: named("b", 1000), weight: 14 },
];

async function ids(dataset: Dataset, epoch: number): Promise<string[]> {
  return Promise.all(Array.from({ length: dataset.length }, async (_, i) => (await dataset.sample(i, epoch)).id));
}

test("shares follow the weights, not the sizes", async () => {
  const drawn = await ids(mixture(parts, { length: 20_000, seed: 1 }), 0);
  const share = drawn.filter((id) => id.startsWith("a")).length / drawn.length;
  const deviation = Math.sqrt((115 / 129) * (14 / 129) * (1 / drawn.length));
  expect(Math.abs(share - 115 / 129)).toBeLessThan(5 * deviation);
  expect(new Set(drawn.filter((id) => id.startsWith("a"))).size).toBe(10);
});

test("equal for equal seed and epoch; other epochs and seeds draw otherwise; as long as its parts by default", async () => {
  const once = await ids(mixture(parts, { seed: 1 }), 0);
  expect(once).toHaveLength(1010);
  expect(await ids(mixture(parts, { seed: 1 }), 0)).toEqual(once);
  const withoutEpoch = (list: readonly string[]): string[] => list.map((id) => id.slice(0, id.lastIndexOf(" ")));
  expect(withoutEpoch(await ids(mixture(parts, { seed: 1 }), 1))).not.toEqual(withoutEpoch(once));
  expect(await ids(mixture(parts, { seed: 2 }), 0)).not.toEqual(once);
});

test("the seed of the next epoch is not the next seed", async () => {
  const withoutEpoch = (list: readonly string[]): string[] => list.map((id) => id.slice(0, id.lastIndexOf(" ")));
  expect(withoutEpoch(await ids(mixture(parts, { seed: 1 }), 1))).not.toEqual(withoutEpoch(await ids(mixture(parts, { seed: 2 }), 0)));
});

test("wrong weights, empty parts and options are refused together", () => {
  const wrong = { seed: 0.5, lenght: 4 };
  expect(() => mixture([{ dataset: named("a", 0), weight: -1 }], wrong)).toThrowErrorMatchingInlineSnapshot(`
    [DataError: mixture: lenght: is not an option. There are: length, seed.
      a: weight: expected a number above 0, got -1.
      a is empty.
      length: expected a whole number from 1, got 0.
      seed: expected a whole number from 0, got 0.5.]
  `);
  expect(() => mixture([], { seed: 0 })).toThrow("expected at least one part.");
});
