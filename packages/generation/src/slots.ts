import { type KeyValuePool, roomFor } from "./key-value-pool.ts";
import { commonPrefix, type Mark } from "./prompt.ts";
import type { Sequence } from "./sequence.ts";

/** A row of the cache: what it holds, and whom it serves. */
export interface Slot {
  /** What stands at each position; the first `length` of them are in the cache. */
  marks: readonly Mark[];
  length: number;
  sequence: Sequence | null;
  lastUsed: number;
}

/**
 * Which row of the cache serves whom. A row keeps what it holds after its answer is complete, and the next request
 * whose prompt begins the same goes on from there. Rows are made only when more requests run together than ever
 * before, so one conversation at a time costs one row.
 */
export class SlotTable {
  readonly #pool: KeyValuePool;
  readonly #limit: number;
  readonly #reusePrefix: boolean;
  #slots: readonly Slot[] = [];
  #clock = 0;

  constructor(pool: KeyValuePool, limit: number, reusePrefix: boolean) {
    this.#pool = pool;
    this.#limit = limit;
    this.#reusePrefix = reusePrefix;
  }

  /** In the order of the cache's rows. */
  get rows(): readonly Slot[] {
    return this.#slots;
  }

  /** A slot for the request, holding as much of its prompt as an earlier one left; null while all are busy. */
  async assign(sequence: Sequence): Promise<Slot | null> {
    const idle = this.#slots.filter((slot) => !slot.sequence);
    if (idle.length === 0 && this.#slots.length >= this.#limit) return null;
    const slot = idle.length > 0 ? this.#closest(idle, sequence) : await this.#add(sequence);
    // The last prompt token is always computed: its logits choose the first token of the answer.
    slot.length = Math.min(this.#shared(slot, sequence), sequence.prompt.ids.length - 1);
    await this.#giveBack(slot, sequence.prompt.ids.length);
    slot.marks = sequence.prompt.marks;
    slot.sequence = sequence;
    return slot;
  }

  /** Frees the slots whose answers are over; what was computed for them stays. */
  vacate(): void {
    for (const slot of this.#slots) {
      if (!slot.sequence?.settled) continue;
      slot.marks = slot.sequence.marks;
      slot.sequence = null;
      slot.lastUsed = ++this.#clock;
    }
  }

  /** Room for `length` positions in every row. */
  async reserve(length: number): Promise<void> {
    if (length > this.#pool.capacity) await this.#resize(this.#slots, [], roomFor(length));
  }

  /** Forgets everything. */
  clear(): void {
    this.#slots = [];
    this.#pool.dispose();
  }

  /**
   * A long conversation is over and a short prompt begins: attention over all that room would cost every step. What the
   * slot holds goes with it, so not if that is most of the prompt.
   */
  async #giveBack(slot: Slot, promptLength: number): Promise<void> {
    const alone = this.#slots.every(({ sequence }) => sequence === null);
    if (!alone || slot.length > promptLength / 2 || this.#pool.capacity <= 4 * roomFor(promptLength)) return;
    slot.length = 0;
    await this.#resize([], [slot], roomFor(promptLength));
  }

  /** The idle slot that holds most of the prompt; of equals the one unused for longest. */
  #closest(idle: readonly Slot[], sequence: Sequence): Slot {
    return idle.reduce((best, slot) => {
      const better = this.#shared(slot, sequence) - this.#shared(best, sequence);
      return better > 0 || (better === 0 && slot.lastUsed < best.lastUsed) ? slot : best;
    });
  }

  #shared(slot: Slot, { prompt }: Sequence): number {
    return this.#reusePrefix ? commonPrefix(slot.marks.slice(0, slot.length), prompt.marks) : 0;
  }

  async #add({ prompt }: Sequence): Promise<Slot> {
    const slot: Slot = { marks: [], length: 0, sequence: null, lastUsed: 0 };
    await this.#resize(this.#slots, [slot], Math.max(this.#pool.capacity, roomFor(prompt.ids.length)));
    return slot;
  }

  async #resize(keep: readonly Slot[], fresh: readonly Slot[], capacity: number): Promise<void> {
    const rows = keep.map((slot) => this.#slots.indexOf(slot));
    await this.#pool.resize(rows, keep.length + fresh.length, capacity);
    this.#slots = [...keep, ...fresh];
  }
}
