/**
 * A set of strings with a number each, asked "which of them start at this position of a text?". The edges lie in one
 * open-addressed hash table of typed arrays, so a vocabulary of 250,000 pieces costs a few megabytes and no objects.
 */
export class PrefixTrie {
  #parents = new Int32Array(1024); // 0 = free: an edge stores its parent node + 1
  #units = new Uint16Array(1024);
  #children = new Int32Array(1024);
  #values = new Int32Array(1024).fill(-1);
  #nodes = 1; // node 0 is the root

  /** The first value stays where a string is inserted twice. */
  insert(text: string, value: number): void {
    let node = 0;
    for (let i = 0; i < text.length; i++) node = this.#grow(node, text.charCodeAt(i));
    if (this.#values[node] === -1) this.#values[node] = value;
  }

  /** The node reached from `node` (0 = root) over `unit`, or 0 if there is no such string. */
  step(node: number, unit: number): number {
    return this.#children[this.#slot(node, unit)] ?? 0;
  }

  /** The number of the string that ends at `node`, −1 if none does. */
  value(node: number): number {
    return this.#values[node] ?? -1;
  }

  /** End and value of the longest entry that starts at `start`, or null. */
  longest(text: string, start: number): { readonly end: number; readonly value: number } | null {
    let found: { end: number; value: number } | null = null;
    for (let i = start, node = 0; i < text.length; i++) {
      node = this.step(node, text.charCodeAt(i));
      if (node === 0) break;
      const value = this.value(node);
      if (value !== -1) found = { end: i + 1, value };
    }
    return found;
  }

  #slot(node: number, unit: number): number {
    const mask = this.#parents.length - 1;
    let slot = (Math.imul(node, 0x9e3779b1) ^ Math.imul(unit, 0x85ebca6b)) >>> 0;
    slot = (slot ^ (slot >>> 15)) & mask;
    for (;;) {
      const parent = this.#parents[slot];
      if (parent === 0 || (parent === node + 1 && this.#units[slot] === unit)) return slot;
      slot = (slot + 1) & mask;
    }
  }

  #grow(node: number, unit: number): number {
    let slot = this.#slot(node, unit);
    if (this.#parents[slot] !== 0) return this.#children[slot] ?? 0;
    if (this.#nodes * 2 > this.#parents.length) {
      this.#rehash();
      slot = this.#slot(node, unit);
    }
    const child = this.#nodes++;
    this.#parents[slot] = node + 1;
    this.#units[slot] = unit;
    this.#children[slot] = child;
    return child;
  }

  #rehash(): void {
    const [parents, units, children, values] = [this.#parents, this.#units, this.#children, this.#values];
    const size = parents.length * 2;
    this.#parents = new Int32Array(size);
    this.#units = new Uint16Array(size);
    this.#children = new Int32Array(size);
    this.#values = new Int32Array(size).fill(-1);
    this.#values.set(values);
    for (const [i, parent] of parents.entries()) {
      if (parent === 0) continue;
      const slot = this.#slot(parent - 1, units[i] ?? 0);
      this.#parents[slot] = parent;
      this.#units[slot] = units[i] ?? 0;
      this.#children[slot] = children[i] ?? 0;
    }
  }
}
