/**
 * (left id, right id) → rank and merged id, as one open-addressed table of integers: 60,000 merges build in a few
 * milliseconds, and a lookup allocates nothing.
 */
export class MergeTable {
  readonly seams: Seams = new Seams();
  readonly #mask: number;
  readonly #left: Int32Array; // id + 1; 0 = free
  readonly #right: Int32Array;
  readonly #rank: Int32Array;
  readonly #merged: Int32Array;

  constructor(capacity: number) {
    const size = 2 ** Math.ceil(Math.log2(Math.max(4, capacity * 2)));
    this.#mask = size - 1;
    this.#left = new Int32Array(size);
    this.#right = new Int32Array(size);
    this.#rank = new Int32Array(size);
    this.#merged = new Int32Array(size);
  }

  /** A pair that comes twice keeps the later rank, as in the reference. */
  set(left: number, right: number, rank: number, merged: number): void {
    const slot = this.#slot(left, right);
    this.#left[slot] = left + 1;
    this.#right[slot] = right;
    this.#rank[slot] = rank;
    this.#merged[slot] = merged;
  }

  rank(left: number, right: number): number {
    const slot = this.#slot(left, right);
    return this.#left[slot] === 0 ? -1 : (this.#rank[slot] as number);
  }

  merged(left: number, right: number): number {
    return this.#merged[this.#slot(left, right)] as number;
  }

  #slot(left: number, right: number): number {
    let hash = Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0x85ebca6b);
    hash ^= hash >>> 15;
    let slot = hash & this.#mask;
    while (this.#left[slot] !== 0 && (this.#left[slot] !== left + 1 || this.#right[slot] !== right)) slot = (slot + 1) & this.#mask;
    return slot;
  }
}

/** Which characters merges bring together: the last UTF-16 unit of a left token, the first of a right one. */
export class Seams {
  readonly #after: (Set<number> | undefined)[] = new Array<Set<number> | undefined>(0x10000);

  add(last: number, first: number): void {
    const after = this.#after[last];
    if (after === undefined) this.#after[last] = new Set([first]);
    else after.add(first);
  }

  joins(last: number, first: number): boolean {
    return this.#after[last]?.has(first) ?? false;
  }
}
