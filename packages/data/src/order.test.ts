import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { openConversations } from "./conversations.ts";
import { evenChunks, lengthGroups, modalityGroups, type Permute, seededPermute } from "./order.ts";

const golden = (name: string): string => fileURLToPath(new URL(`../../../golden/data-llava/${name}`, import.meta.url));

interface SamplerCase {
  readonly name: string;
  readonly lengths: readonly number[];
  readonly batch_size: number;
  readonly world_size: number;
  readonly group_by_modality: boolean;
  readonly randperm_calls: readonly (readonly number[])[];
  readonly order: readonly number[];
}

interface Expected {
  readonly modality_lengths: readonly number[];
  readonly sampler: readonly SamplerCase[];
  readonly split_to_even_chunks: readonly {
    readonly indices: readonly number[];
    readonly lengths: readonly number[];
    readonly num_chunks: number;
    readonly out: readonly (readonly number[])[];
  }[];
}

const expected = JSON.parse(readFileSync(golden("expected.json"), "utf8")) as Expected;

/** Gives recorded permutations one after the other. */
function replay(calls: readonly (readonly number[])[]): Permute {
  const rest = [...calls];
  return (count) => {
    const next = rest.shift();
    if (next?.length !== count) throw new Error(`expected a permutation of ${count}, the recorded one has ${next?.length}`);
    return next;
  };
}

describe("with the recorded permutations, LengthGroupedSampler's order", () => {
  test.each(expected.sampler.map((one) => [one.name, one] as const))("%s", (_, one) => {
    const options = { batchSize: one.batch_size, worldSize: one.world_size, permute: replay(one.randperm_calls) };
    const samples = one.lengths.map((length) => ({ length: Math.abs(length), multimodal: length > 0 }));
    const order = one.group_by_modality ? modalityGroups(samples, options) : lengthGroups(one.lengths, options);
    expect(order).toEqual(one.order);
  });
});

test("split_to_even_chunks", () => {
  for (const { indices, lengths, num_chunks, out } of expected.split_to_even_chunks)
    expect(evenChunks(indices, lengths, num_chunks)).toEqual(out);
});

test("a file's lengths are modality_lengths", async () => {
  using dataset = await openConversations(golden("files/finetune.json"));
  const lengths = Array.from({ length: dataset.length }, (_, i) => dataset.lengthOf?.(i));
  expect(lengths).toEqual(expected.modality_lengths.map((length) => ({ length: Math.abs(length), multimodal: length > 0 })));
});

test("samples without a word cannot be grouped", () => {
  const samples = [4, 0, 2].map((length) => ({ length, multimodal: true }));
  expect(() => modalityGroups(samples, { batchSize: 2, worldSize: 1, permute: seededPermute(0, 0) })).toThrowErrorMatchingInlineSnapshot(
    `[DataError: grouping by length: samples without a word: 1. Take them out, or choose another order.]`,
  );
});

test("a seeded permutation holds every number once, differs by epoch and seed, and is the same again", () => {
  const order = seededPermute(7, 0)(1000);
  expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 1000 }, (_, i) => i));
  expect(seededPermute(7, 0)(1000)).toEqual(order);
  expect(seededPermute(7, 1)(1000)).not.toEqual(order);
  expect(seededPermute(8, 0)(1000)).not.toEqual(order);
});

test("every place is equally likely for every number", () => {
  const counts = Array.from({ length: 16 }, () => 0);
  for (let epoch = 0; epoch < 4000; epoch++)
    for (const [place, number] of seededPermute(3, epoch)(4).entries()) counts[place * 4 + number] = (counts[place * 4 + number] ?? 0) + 1;
  for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(5 * Math.sqrt(750)); // five standard deviations
});
