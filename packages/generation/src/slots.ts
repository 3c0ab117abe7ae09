import type { Answer } from "./answer.ts";
import { type KeyValuePool, roomFor } from "./key-value-pool.ts";
import { commonPrefix, type Mark } from "./prompt.ts";

/** A row of the cache: what it holds, and whom it serves. */
export interface Slot {
  /** What stands at each position; the first `length` of them are in the cache. */
  marks: readonly Mark[];
  length: number;
  answer: Answer | null;
  /** Which of the answer's rows this is. The prompt is computed in row 0; the others are copied from there. */
  row: number;
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

  /**
   * Slots for all rows of the answer; the first, which is returned, holds as much of the prompt as an earlier one left.
   * Null while too many are busy. An answer that takes more rows than there may be slots is served alone.
   */
  async assign(answer: Answer): Promise<Slot | null> {
    const idle = this.#slots.filter((slot) => !slot.answer);
    const busy = this.#slots.length - idle.length;
    if (busy > 0 && busy + answer.rows > this.#limit) return null;
    idle.push(...(await this.#add(answer, answer.rows - idle.length)));
    const first = this.#closest(idle, answer);
    const others = idle.filter((slot) => slot !== first).sort((a, b) => a.lastUsed - b.lastUsed);
    const seats = [first, ...others.slice(0, answer.rows - 1)];
    // The last prompt token is always computed: its logits choose the first token of the answer.
    const held = Math.min(this.#shared(first, answer), answer.prompt.ids.length - 1);
    for (const [row, slot] of seats.entries())
      Object.assign(slot, { row, answer, marks: answer.prompt.marks, length: row === 0 ? held : 0 });
    if (busy === 0) await this.#giveBack(seats, answer.prompt.ids.length);
    return first;
  }

  /** The slots of an answer, row by row. */
  of(answer: Answer): readonly Slot[] {
    return this.#slots.filter((slot) => slot.answer === answer).sort((a, b) => a.row - b.row);
  }

  /**
   * Row i of the answer goes on from what row `parents[i]` holds. A row that others go on from stays where it is for the
   * first of them; copied are the others, over rows from which none goes on, and only what they do not have in common.
   */
  async fork(answer: Answer, parents: readonly number[]): Promise<void> {
    const before = this.of(answer);
    const sources = parents.flatMap((parent) => before[parent] ?? []);
    const after = sources.map((slot, i) => (sources.indexOf(slot) === i ? slot : null));
    const free = before.filter((slot) => !sources.includes(slot));
    const from = new Map<Slot, Slot>();
    for (const [row, source] of sources.entries()) {
      const slot = after[row] ?? free.shift();
      if (!slot) continue;
      slot.row = row;
      if (slot !== source) from.set(slot, source);
    }
    const [source] = sources;
    if (!source || from.size === 0) return;
    const start = Math.min(...[...from.keys()].map(({ length }) => (length === 0 ? 0 : answer.prompt.ids.length)));
    for (const slot of from.keys()) slot.length = source.length;
    const rows = this.#slots.map((slot) => this.#slots.indexOf(from.get(slot) ?? slot));
    await this.#pool.copy(rows, start, source.length - start);
  }

  /** Frees the slots whose answers are over; what was computed for them stays. */
  vacate(): void {
    for (const slot of this.#slots) {
      if (!slot.answer?.settled) continue;
      slot.marks = slot.answer.marks(slot.row);
      slot.answer = null;
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
   * Nobody else is served. After a long conversation a short prompt begins: attention over all that room would cost every
   * step. What the slots hold goes with it, so not if that is most of the prompt. Rows beyond the limit go too.
   */
  async #giveBack(seats: readonly Slot[], promptLength: number): Promise<void> {
    const [first] = seats;
    if (first && first.length <= promptLength / 2 && this.#pool.capacity > 4 * roomFor(promptLength)) {
      first.length = 0;
      await this.#resize([], seats, roomFor(promptLength));
    } else if (this.#slots.length > Math.max(this.#limit, seats.length)) {
      const others = this.#slots.filter((slot) => !seats.includes(slot)).sort((a, b) => b.lastUsed - a.lastUsed);
      await this.#resize([...seats, ...others].slice(0, Math.max(this.#limit, seats.length)), [], this.#pool.capacity);
    }
  }

  /** The idle slot that holds most of the prompt; of equals the one unused for longest. */
  #closest(idle: readonly Slot[], answer: Answer): Slot {
    return idle.reduce((best, slot) => {
      const better = this.#shared(slot, answer) - this.#shared(best, answer);
      return better > 0 || (better === 0 && slot.lastUsed < best.lastUsed) ? slot : best;
    });
  }

  #shared(slot: Slot, { prompt }: Answer): number {
    return this.#reusePrefix ? commonPrefix(slot.marks.slice(0, slot.length), prompt.marks) : 0;
  }

  async #add({ prompt }: Answer, count: number): Promise<readonly Slot[]> {
    if (count <= 0) return [];
    const fresh = Array.from({ length: count }, (): Slot => ({ marks: [], length: 0, answer: null, row: 0, lastUsed: 0 }));
    await this.#resize(this.#slots, fresh, Math.max(this.#pool.capacity, roomFor(prompt.ids.length)));
    return fresh;
  }

  async #resize(keep: readonly Slot[], fresh: readonly Slot[], capacity: number): Promise<void> {
    const rows = keep.map((slot) => this.#slots.indexOf(slot));
    await this.#pool.resize(rows, keep.length + fresh.length, capacity);
    this.#slots = [...keep, ...fresh];
  }
}
