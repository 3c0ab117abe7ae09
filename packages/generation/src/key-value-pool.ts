import type { OutputWrite, Resident, ResidentView, Runtime } from "@waggle/runtime";

/** The sizes of a decoder that its cache depends on; a LanguageModel of @waggle/language has them. */
export interface CacheShape {
  readonly layers: number;
  readonly kv_heads: number;
  readonly head_dim: number;
}

interface Layer {
  readonly key: Resident; // [rows, Hkv, Dh, capacity]
  readonly value: Resident; // [rows, Hkv, capacity, Dh]
}

/**
 * Keys and values of several sequences, one row each, in tensors that live where the sessions run. All rows have the
 * same capacity. A session reads the past of a range of rows where it lies and hands back only the new slices, which
 * are written behind each row's past; so a step costs what its new tokens cost, plus attention over the capacity.
 */
export class KeyValuePool {
  readonly #runtime: Runtime;
  readonly #shape: CacheShape;
  #layers: readonly Layer[] = [];
  #rows = 0;
  #capacity = 0;

  constructor(runtime: Runtime, shape: CacheShape) {
    this.#runtime = runtime;
    this.#shape = shape;
  }

  get rows(): number {
    return this.#rows;
  }

  get capacity(): number {
    return this.#capacity;
  }

  /**
   * Makes `rows` rows of `capacity` positions: first those of `keep` (numbers of old rows) with what they hold, then empty
   * ones. Layer by layer, so that no more than one layer is there twice. If it fails, nothing is left.
   */
  async resize(keep: readonly number[], rows: number, capacity: number): Promise<void> {
    const { layers, kv_heads, head_dim } = this.#shape;
    const old = this.#layers;
    const next: Layer[] = [];
    this.#layers = next;
    try {
      for (let i = 0; i < layers; i++) {
        const key = await this.#runtime.allocate("float32", [rows, kv_heads, head_dim, capacity]);
        const value = await this.#runtime.allocate("float32", [rows, kv_heads, capacity, head_dim]);
        next.push({ key, value });
        const from = old[i];
        if (from && keep.length > 0)
          await Promise.all([from.key.copyInto(key, { rows: keep }), from.value.copyInto(value, { rows: keep })]);
        release(old.slice(i, i + 1));
      }
    } catch (error) {
      release(old);
      this.dispose();
      throw error;
    }
    this.#rows = rows;
    this.#capacity = capacity;
  }

  /** The cache inputs of the decoder for rows `first` … `first + rows`. */
  feeds(first: number, rows: number): Record<string, ResidentView> {
    return Object.fromEntries(
      this.#layers.flatMap(({ key, value }, i) => [
        [`past_key_values.${i}.key`, key.view(first, rows)],
        [`past_key_values.${i}.value`, value.view(first, rows)],
      ]),
    );
  }

  /** Appends the new slices of the same rows: `counts[b]` positions behind the `lengths[b]` that row b has. */
  writes(first: number, lengths: readonly number[], counts: readonly number[]): OutputWrite[] {
    const rows = lengths.length;
    return this.#layers.flatMap(({ key, value }, i) => [
      { output: `present.${i}.key`, into: key.view(first, rows), axis: 3, offset: lengths, rows: counts },
      { output: `present.${i}.value`, into: value.view(first, rows), axis: 2, offset: lengths, rows: counts },
    ]);
  }

  /** Row i becomes row `rows[i]`, in positions `start` … `start + count`. What stays costs nothing. */
  async copy(rows: readonly number[], start: number, count: number): Promise<void> {
    await Promise.all(
      this.#layers.flatMap(({ key, value }) => [
        key.copyInto(key, { rows, part: { axis: 3, start, count } }),
        value.copyInto(value, { rows, part: { axis: 2, start, count } }),
      ]),
    );
  }

  dispose(): void {
    release(this.#layers);
    this.#layers = [];
    this.#rows = 0;
    this.#capacity = 0;
  }
}

function release(layers: readonly Layer[]): void {
  for (const { key, value } of layers) {
    key.dispose();
    value.dispose();
  }
}

/**
 * How much room to make for `length` positions: an eighth more, in steps of 64. Attention over the unused end costs at
 * most an eighth of a step's attention, and growing by an eighth copies each position about eight times in all.
 */
export function roomFor(length: number): number {
  return Math.ceil((length + Math.max(64, length / 8)) / 64) * 64;
}
