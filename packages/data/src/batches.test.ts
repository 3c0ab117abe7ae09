import { setTimeout as wait } from "node:timers/promises";
import { ImageError, image } from "@waggle/image";
import { describe, expect, test } from "vitest";
import { type Batch, type BatchOptions, batches, batchesPerEpoch } from "./batches.ts";
import { DataError } from "./data-error.ts";
import type { Dataset } from "./dataset.ts";
import { IGNORE, IMAGE, type SampleEncoder } from "./sample.ts";

/** Sample i shows i mod 3 pictures; `broken` ones throw. */
function numbers(length: number, broken: readonly number[] = []): Dataset {
  return {
    name: "numbers",
    length,
    sample(index) {
      if (broken.includes(index)) throw new DataError("bad-row", "not a number.", { file: "numbers.json", row: index });
      const images = Array.from({ length: index % 3 }, (_, i) => image(`${index}-${i}.png`));
      return { id: `n${index}`, images, conversations: [] };
    },
    lengthOf: (index) => ({ length: 1 + (index % 7), multimodal: index % 3 > 0 }),
  };
}

/** The number, then its visual tokens. */
const encoder: SampleEncoder = {
  encode({ id }, pictureTokens) {
    const visual = pictureTokens.flatMap((count) => Array.from({ length: count }, () => IMAGE));
    const input_ids = [Number(id.slice(1)), ...visual];
    return { input_ids, labels: [input_ids[0] ?? 0, ...visual.map(() => IGNORE)] };
  },
};

const options: BatchOptions<string> = {
  encoder,
  batchSize: 4,
  seed: 5,
  preparePicture: async ({ source }) => ({ value: String(source), tokens: 2 }),
  onBroken: "stop",
};

async function collect<P>(source: AsyncIterable<Batch<P>>, count = Infinity): Promise<Batch<P>[]> {
  const all: Batch<P>[] = [];
  for await (const batch of source) {
    all.push(batch);
    if (all.length >= count) break;
  }
  return all;
}

const idsOf = (all: readonly Batch<unknown>[]): number[] =>
  all.flatMap(({ samples }) => samples.map(({ input_ids }) => input_ids[0] ?? -1));

describe("order", () => {
  test("every sample once an epoch, pictures with their samples, the last batch smaller", async () => {
    const all = await collect(batches(numbers(10), { ...options, epochs: 1 }));
    expect(all.map(({ samples }) => samples.length)).toEqual([4, 4, 2]);
    expect(all).toHaveLength(batchesPerEpoch(10, 4));
    expect(idsOf(all).sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    for (const { samples, pictures, picturesPerSample } of all) {
      const named = samples.flatMap(({ input_ids: [n] }, i) =>
        Array.from({ length: picturesPerSample[i] ?? 0 }, (_, k) => `${n}-${k}.png`),
      );
      expect(pictures).toEqual(named);
    }
  });

  test("sequential is the order of the file", async () => {
    const all = await collect(batches(numbers(6), { ...options, order: "sequential", epochs: 2 }));
    expect(idsOf(all)).toEqual([0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5]);
    expect(all.map(({ next }) => next)).toEqual([
      { epoch: 0, position: 4 },
      { epoch: 1, position: 0 },
      { epoch: 1, position: 4 },
      { epoch: 2, position: 0 },
    ]);
  });

  test("grouped by length, whole batches hold pictures or text", async () => {
    const all = await collect(batches(numbers(60), { ...options, order: "length-grouped", epochs: 1 }));
    const kinds = all.slice(0, -2).map(({ picturesPerSample }) => new Set(picturesPerSample.map((count) => count > 0)).size);
    expect(kinds.every((count) => count === 1)).toBe(true);
    expect(new Set(idsOf(all)).size).toBe(60);
  });

  test("grouped by length, the batches of a step hold the same kind and share out its long samples", async () => {
    const grouped = { ...options, order: "length-grouped", accumulation: 3, epochs: 1 } as const;
    const all = await collect(batches(numbers(90), grouped));
    const steps = Array.from({ length: 6 }, (_, i) => all.slice(i * 3, i * 3 + 3));
    for (const step of steps) {
      expect(new Set(step.flatMap(({ picturesPerSample }) => picturesPerSample.map((count) => count > 0))).size).toBe(1);
      const lengths = step.map(({ samples }) => samples.reduce((sum, { input_ids }) => sum + 1 + ((input_ids[0] ?? 0) % 7), 0));
      expect(Math.max(...lengths) - Math.min(...lengths)).toBeLessThanOrEqual(6); // of any two, one sample's length at most
    }
  });

  test.each(["shuffled", "length-grouped", "sequential"] as const)(
    "%s: equal for equal seed, however slow the pictures are",
    async (order) => {
      const slow = async ({ source }: { readonly source: unknown }) => {
        await wait(Number.parseInt(String(source), 10) % 5);
        return { value: String(source), tokens: 2 };
      };
      const once = await collect(batches(numbers(23), { ...options, order, epochs: 3 }));
      const again = await collect(batches(numbers(23), { ...options, order, epochs: 3, preparePicture: slow, prefetch: 0 }));
      expect(again).toEqual(once);
      const other = await collect(batches(numbers(23), { ...options, order, epochs: 3, seed: 6 }));
      expect(idsOf(other).join() === idsOf(once).join()).toBe(order === "sequential");
    },
  );

  test.each(["shuffled", "length-grouped", "sequential"] as const)("%s: goes on from `next` as if it had never stopped", async (order) => {
    const all = await collect(batches(numbers(23, [3, 8]), { ...options, order, epochs: 3, onBroken: "skip" }));
    for (const [i, { next }] of all.entries()) {
      if (i === all.length - 1) break;
      const rest = await collect(batches(numbers(23, [3, 8]), { ...options, order, epochs: 3, onBroken: "skip", start: next }));
      expect(rest).toEqual(all.slice(i + 1));
    }
  });
});

describe("broken samples", () => {
  test("skipped ones are named, once, and their batch is smaller", async () => {
    const all = await collect(batches(numbers(10, [2, 5, 9]), { ...options, order: "sequential", onBroken: "skip", epochs: 1 }));
    expect(idsOf(all)).toEqual([0, 1, 3, 4, 6, 7, 8]);
    expect(all.map(({ skipped }) => skipped)).toEqual([
      [{ id: "numbers 2", reason: "numbers.json, row 2: not a number." }],
      [{ id: "numbers 5", reason: "numbers.json, row 5: not a number." }],
      [{ id: "numbers 9", reason: "numbers.json, row 9: not a number." }],
    ]);
  });

  test("a group of nothing else gives its report to the next batch; behind the last there is an empty one", async () => {
    const skip = { ...options, order: "sequential", onBroken: "skip", epochs: 1, batchSize: 2 } as const;
    const middle = await collect(batches(numbers(6, [2, 3]), skip));
    expect(middle.map(({ samples, skipped }) => [samples.length, skipped.length])).toEqual([
      [2, 0],
      [2, 2],
    ]);
    const end = await collect(batches(numbers(6, [4, 5]), skip));
    expect(end.map(({ samples, skipped }) => [samples.length, skipped.length])).toEqual([
      [2, 0],
      [2, 0],
      [0, 2],
    ]);
  });

  test("stop ends at the sample, with its error", async () => {
    const seen: Batch<string>[] = [];
    const run = async () => {
      for await (const batch of batches(numbers(10, [5]), { ...options, order: "sequential" })) seen.push(batch);
    };
    await expect(run()).rejects.toMatchObject({ name: "DataError", code: "bad-row", file: "numbers.json", row: 5 });
    expect(idsOf(seen)).toEqual([0, 1, 2, 3]);
  });

  test("stop names the sample where its error does not", async () => {
    const masked: SampleEncoder = { encode: (sample, tokens) => ({ ...encoder.encode(sample, tokens), labels: [] }) };
    await expect(collect(batches(numbers(1), { ...options, encoder: masked }))).rejects.toMatchObject({
      code: "no-targets",
      message: expect.stringMatching(/^numbers, sample n0: every label is masked/),
    });
    const preparePicture = (): never => {
      throw new ImageError("corrupt", "7 bytes: not a picture.");
    };
    await expect(collect(batches(numbers(2), { ...options, preparePicture }))).rejects.toMatchObject({
      code: "bad-sample",
      message: "numbers, sample n1: 7 bytes: not a picture.",
      cause: { code: "corrupt" },
    });
  });

  test("an epoch of nothing else stops, endless or not", async () => {
    const run = collect(batches(numbers(3, [0, 1, 2]), { ...options, onBroken: "skip" }));
    await expect(run).rejects.toMatchObject({ code: "all-broken", message: expect.stringContaining("none of the 3 samples can be used") });
  });

  test("a broken picture breaks its sample; a masked conversation and missing places for visual tokens do too", async () => {
    const preparePicture = async ({ source }: { readonly source: unknown }) => {
      if (source === "1-0.png") throw new ImageError("corrupt", "1-0.png: not a picture.");
      return { value: "", tokens: 2 };
    };
    const odd: SampleEncoder = {
      encode(sample, tokens) {
        const encoded = encoder.encode(sample, tokens);
        if (sample.id === "n3") return { ...encoded, labels: encoded.labels.map(() => IGNORE) };
        return sample.id === "n4" ? { input_ids: [4], labels: [4] } : encoded;
      },
    };
    const [batch] = await collect(
      batches(numbers(6), { ...options, order: "sequential", onBroken: "skip", batchSize: 6, epochs: 1, preparePicture, encoder: odd }),
    );
    expect(batch?.samples.map(({ input_ids }) => input_ids[0])).toEqual([0, 2, 5]);
    expect(batch?.skipped).toMatchInlineSnapshot(`
      [
        {
          "id": "n1",
          "reason": "1-0.png: not a picture.",
        },
        {
          "id": "n3",
          "reason": "every label is masked: there is no answer from gpt, it was cut off or is empty, or the family's length check failed.",
        },
        {
          "id": "n4",
          "reason": "its pictures make 2 visual tokens, the encoded conversation has places for 0.",
        },
      ]
    `);
  });

  test("a mistake that is nobody's data is never skipped", async () => {
    const preparePicture = async () => {
      throw new TypeError("undefined is not a function");
    };
    const run = collect(batches(numbers(6), { ...options, onBroken: "skip", preparePicture }));
    await expect(run).rejects.toThrow(TypeError);
  });
});

describe("running ahead", () => {
  test("as far as prefetch says, with few samples in work at a time", async () => {
    let [begun, working, most] = [0, 0, 0];
    const preparePicture = async () => {
      begun += 1;
      working += 1;
      most = Math.max(most, working);
      await wait(1);
      working -= 1;
      return { value: "", tokens: 1 };
    };
    const one = { ...numbers(1000), sample: (index: number) => ({ id: `n${index}`, images: [image("p.png")], conversations: [] }) };
    const iterator = batches(one, { ...options, preparePicture, prefetch: 3 });
    await iterator.next();
    await wait(50);
    expect(begun).toBeGreaterThanOrEqual(4 * 4);
    expect(begun).toBeLessThanOrEqual(4 * 4 + 1);
    expect(most).toBeGreaterThan(1);
    expect(most).toBeLessThanOrEqual(8);
    await iterator.return(undefined);
  });

  test("an abort ends the wait with its reason, and nothing is skipped because of it", async () => {
    const controller = new AbortController();
    const preparePicture = (_: unknown, signal?: AbortSignal) =>
      new Promise<never>((_resolve, reject) => signal?.addEventListener("abort", () => reject(signal.reason), { once: true }));
    const run = collect(batches(numbers(9), { ...options, onBroken: "skip", preparePicture, signal: controller.signal }));
    setTimeout(() => controller.abort(new Error("enough")), 5);
    await expect(run).rejects.toThrow("enough");
    await expect(collect(batches(numbers(9), { ...options, signal: controller.signal }))).rejects.toThrow("enough");
  });

  test("leaving the loop aborts what is in work", async () => {
    const signals: AbortSignal[] = [];
    const preparePicture = async (_: unknown, signal?: AbortSignal) => {
      if (signal) signals.push(signal);
      return { value: "", tokens: 1 };
    };
    await collect(batches(numbers(100), { ...options, preparePicture }), 1);
    expect(signals.length).toBeGreaterThan(0);
    expect(signals.every((signal) => signal.aborted)).toBe(true);
  });
});

test("wrong options are refused together, before anything is read", async () => {
  const wrong = {
    ...options,
    batchSize: 0,
    seed: -1,
    prefetch: 0.5,
    order: "random" as "shuffled",
    start: { epoch: 0, position: 40 },
    size: 3,
  };
  await expect(collect(batches(numbers(5), wrong))).rejects.toThrowErrorMatchingInlineSnapshot(`
    [DataError: batches: size: is not an option. There are: encoder, batchSize, accumulation, seed, order, preparePicture, onBroken, start, prefetch, epochs, signal.
      batchSize: expected a whole number from 1, got 0.
      seed: expected a whole number from 0, got -1.
      prefetch: expected a whole number from 0, got 0.5.
      start.position: 40 is outside numbers, which has 5 samples.
      order: expected "shuffled", "length-grouped" or "sequential", got "random".]
  `);
  const { lengthOf: _, ...plain } = numbers(5);
  await expect(collect(batches(plain, { ...options, order: "length-grouped" }))).rejects.toThrowErrorMatchingInlineSnapshot(
    `[DataError: batches: order "length-grouped" needs lengthOf, which numbers does not have. Use "shuffled".]`,
  );
});
