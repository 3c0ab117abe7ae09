/**
 * The loop at the heart of byte-pair encoding: of all neighbouring pairs the one with the lowest rank (leftmost among
 * equals) is merged, until no pair has a rank. A binary heap of packed numbers, rank · 2³¹ + position, so a word of
 * 100,000 characters takes O(n log n) and no objects. Entries that a merge has outdated are recognised when they surface.
 */
export interface SymbolMerges {
  /** Rank of merging the symbol at `left` with its neighbour at `right`; −1 = they do not merge. */
  rank(left: number, right: number): number;
  /** Makes `left` the merged symbol; `right` is gone. */
  merge(left: number, right: number): void;
}

const POSITIONS = 2 ** 31;
const GONE = -2;

/** `next[i]` is the symbol after i, −1 at the end; the first symbol is always 0. `count` ≥ 1. */
export function mergeSymbols(count: number, merges: SymbolMerges): Int32Array {
  const next = new Int32Array(count);
  const previous = new Int32Array(count);
  const heap = new MergeHeap(count);
  for (let i = 0; i < count; i++) {
    next[i] = i + 1 < count ? i + 1 : -1;
    previous[i] = i - 1;
    if (i + 1 < count) heap.append(merges.rank(i, i + 1), i);
  }
  heap.arrange();
  for (let entry = heap.pop(); entry !== -1; entry = heap.pop()) {
    const left = entry % POSITIONS;
    const right = next[left] ?? -1;
    if (right < 0 || merges.rank(left, right) !== Math.floor(entry / POSITIONS)) continue;
    merges.merge(left, right);
    const after = next[right] ?? -1;
    next[left] = after;
    next[right] = GONE;
    if (after >= 0) {
      previous[after] = left;
      heap.push(merges.rank(left, after), left);
    }
    const before = previous[left] ?? -1;
    if (before >= 0) heap.push(merges.rank(before, left), before);
  }
  return next;
}

class MergeHeap {
  #entries: Float64Array;
  #length = 0;

  constructor(capacity: number) {
    this.#entries = new Float64Array(capacity + 1);
  }

  append(rank: number, position: number): void {
    if (rank < 0) return;
    if (this.#length === this.#entries.length) {
      const grown = new Float64Array(this.#length * 2);
      grown.set(this.#entries);
      this.#entries = grown;
    }
    this.#entries[this.#length++] = rank * POSITIONS + position;
  }

  arrange(): void {
    for (let i = (this.#length >> 1) - 1; i >= 0; i--) this.#sink(i);
  }

  push(rank: number, position: number): void {
    if (rank < 0) return;
    this.append(rank, position);
    const entries = this.#entries;
    let i = this.#length - 1;
    const entry = entries[i] as number;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      const above = entries[parent] as number;
      if (above <= entry) break;
      entries[i] = above;
      i = parent;
    }
    entries[i] = entry;
  }

  pop(): number {
    if (this.#length === 0) return -1;
    const top = this.#entries[0] as number;
    this.#length--;
    this.#entries[0] = this.#entries[this.#length] as number;
    this.#sink(0);
    return top;
  }

  #sink(start: number): void {
    const entries = this.#entries;
    const length = this.#length;
    let i = start;
    const entry = entries[i] as number;
    for (let child = 2 * i + 1; child < length; child = 2 * i + 1) {
      if (child + 1 < length && (entries[child + 1] as number) < (entries[child] as number)) child++;
      const below = entries[child] as number;
      if (below >= entry) break;
      entries[i] = below;
      i = child;
    }
    entries[i] = entry;
  }
}
