/** The invariants of every language model, and the decoder protocol driven by hand. */
import { type GraphDefinition, input, symbol, type Target } from "@waggle/graph";
import { causalCache, decoderGraph, type LanguageModel } from "@waggle/language";
import { expect } from "vitest";
import { compileGraph, type Feeds, type Results } from "./run-graph.ts";
import { expectClose, float32, floats, int64, type Tolerance } from "./tensors.ts";

/** Whole-sequence logits: input_ids [B, S] (and attention_mask) → logits [B, S, V]. */
export function wholeGraph(language: LanguageModel, { masked = false } = {}): GraphDefinition {
  const shape = [symbol("B"), symbol("S")];
  const input_ids = input("input_ids", "int64", shape);
  const attention_mask = input("attention_mask", "int64", shape);
  const cache = masked ? causalCache({ attention_mask }) : causalCache();
  const logits = language.forward(language.embed(input_ids), cache);
  return { inputs: masked ? { input_ids, attention_mask } : { input_ids }, outputs: { logits } };
}

/** One slot of a cache with a fixed capacity, as the engine keeps it. */
interface Slot {
  readonly layers: readonly { readonly key: Float32Array; readonly value: Float32Array }[];
  length: number;
}

/** A decoder session and the caches that the caller of the protocol has to keep. */
export class HandDecoder {
  readonly #run: (feeds: Feeds) => Promise<Results>;
  readonly #language: LanguageModel;
  readonly capacity: number;

  private constructor(language: LanguageModel, capacity: number, run: (feeds: Feeds) => Promise<Results>) {
    this.#language = language;
    this.capacity = capacity;
    this.#run = run;
  }

  static async compile(language: LanguageModel, capacity: number, target?: Target): Promise<HandDecoder> {
    return new HandDecoder(language, capacity, await compileGraph(decoderGraph(language), target));
  }

  /** An empty slot. Garbage in the unused capacity must not matter, so there is some. */
  slot(): Slot {
    const size = this.#language.kv_heads * this.#language.head_dim * this.capacity;
    const garbage = (): Float32Array => new Float32Array(size).fill(1e3);
    return { layers: Array.from({ length: this.#language.layers }, () => ({ key: garbage(), value: garbage() })), length: 0 };
  }

  /** Feeds as many new tokens to each slot; returns the last logits [B, V] and keeps the new keys and values if there is room. */
  async step(
    slots: readonly Slot[],
    ids: readonly (readonly number[])[],
    features?: Features,
    keep = this.capacity > 0,
  ): Promise<Float32Array[]> {
    const { kv_heads: H, head_dim: D, hidden_size, vocab_size } = this.#language;
    const [B, S, P] = [slots.length, ids[0]?.length ?? 0, this.capacity];
    const feeds: Record<string, Feeds[string]> = {
      input_ids: int64(ids.flat(), [B, S]),
      features: features?.table ?? float32(new Float32Array(hidden_size), [1, hidden_size]),
      feature_rows: int64(features?.rows.flat() ?? new Array(B * S).fill(-1), [B, S]),
      position_ids: int64(
        slots.flatMap(({ length }) => Array.from({ length: S }, (_, i) => length + i)),
        [B, S],
      ),
      past_lengths: int64(slots.map(({ length }) => length)),
    };
    for (let layer = 0; layer < this.#language.layers; layer++) {
      feeds[`past_key_values.${layer}.key`] = float32(joined(slots.map(({ layers }) => layers[layer]?.key)), [B, H, D, P]);
      feeds[`past_key_values.${layer}.value`] = float32(joined(slots.map(({ layers }) => layers[layer]?.value)), [B, H, P, D]);
    }
    const results = await this.#run(feeds);
    for (const [b, slot] of slots.entries()) if (keep) this.#keep(slot, b, S, results);
    const logits = floats(results.logits);
    return slots.map((_, b) => logits.slice(b * vocab_size, (b + 1) * vocab_size));
  }

  #keep(slot: Slot, b: number, S: number, results: Results): void {
    const { kv_heads: H, head_dim: D } = this.#language;
    for (const [index, layer] of slot.layers.entries()) {
      const key = floats(results[`present.${index}.key`]); // [B, H, D, S]
      const value = floats(results[`present.${index}.value`]); // [B, H, S, D]
      for (let row = 0; row < H * D; row++) {
        layer.key.set(key.subarray((b * H * D + row) * S, (b * H * D + row + 1) * S), row * this.capacity + slot.length);
      }
      for (let h = 0; h < H; h++) {
        layer.value.set(value.subarray((b * H + h) * S * D, (b * H + h + 1) * S * D), (h * this.capacity + slot.length) * D);
      }
    }
    slot.length += S;
  }
}

interface Features {
  readonly table: Feeds[string];
  readonly rows: readonly (readonly number[])[];
}

function joined(parts: readonly (Float32Array | undefined)[]): Float32Array {
  return Float32Array.from(parts.flatMap((part) => [...(part ?? [])]));
}

/** Prefill in chunks of these sizes gives the logits of one run over everything. */
export async function expectCachedMatchesFull(
  language: LanguageModel,
  ids: readonly number[],
  chunks: readonly number[],
  tolerance?: Tolerance,
): Promise<void> {
  const run = await compileGraph(wholeGraph(language));
  const logits = floats((await run({ input_ids: int64(ids, [1, ids.length]) })).logits);
  const decoder = await HandDecoder.compile(language, ids.length + 3);
  const slot = decoder.slot();
  const V = language.vocab_size;
  for (const size of chunks) {
    const [last] = await decoder.step([slot], [ids.slice(slot.length, slot.length + size)]);
    const row = slot.length - 1;
    expectClose(float32(last ?? [], [V]), float32(logits.slice(row * V, (row + 1) * V), [V]), tolerance);
  }
  expect(slot.length).toBe(ids.length);
}

/** Sequences of unequal length decoded together give what each gives alone. */
export async function expectBatchInvariant(
  language: LanguageModel,
  sequences: readonly (readonly number[])[],
  steps: number,
  tolerance?: Tolerance,
): Promise<void> {
  const decoder = await HandDecoder.compile(language, Math.max(...sequences.map(({ length }) => length)) + steps);
  const start = async (ids: readonly number[]): Promise<{ slot: Slot; next: number }> => {
    const slot = decoder.slot();
    const [last] = await decoder.step([slot], [ids]);
    return { slot, next: argMax(last) };
  };
  const together = await Promise.all(sequences.map(start));
  const alone = await Promise.all(sequences.map(start));
  for (let step = 0; step < steps; step++) {
    const batch = await decoder.step(
      together.map(({ slot }) => slot),
      together.map(({ next }) => [next]),
    );
    for (const [b, one] of alone.entries()) {
      const [single] = await decoder.step([one.slot], [[one.next]]);
      expectClose(float32(batch[b] ?? [], [language.vocab_size]), float32(single ?? [], [language.vocab_size]), tolerance);
      one.next = argMax(single);
      const other = together[b];
      if (other !== undefined) other.next = argMax(batch[b]);
    }
  }
}

export function argMax(values: Float32Array | undefined): number {
  if (values === undefined) throw new Error("argMax: no logits.");
  return values.indexOf(Math.max(...values));
}
