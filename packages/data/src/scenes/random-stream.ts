/**
 * Random numbers of one sample: sfc32 (Chris Doty-Humphrey's PractRand), whose starting state *is* seed, split and index,
 * so two samples never share a stream. Integer arithmetic only: the same numbers on every machine.
 */
export class RandomStream {
  private a: number;
  private b: number;
  private c: number;
  private counter = 1;

  /** `seed` < 2^53, `stream` < 2^10, `index` < 2^32. */
  constructor(seed: number, stream: number, index: number) {
    this.a = seed | 0;
    this.b = Math.floor(seed / 2 ** 32) | (stream << 21);
    this.c = index | 0;
    for (let round = 0; round < 12; round++) this.next();
  }

  private next(): number {
    const sum = (((this.a + this.b) | 0) + this.counter) | 0;
    this.counter = (this.counter + 1) | 0;
    this.a = this.b ^ (this.b >>> 9);
    this.b = (this.c + (this.c << 3)) | 0;
    this.c = (((this.c << 21) | (this.c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }

  /** In [low, high). */
  between(low: number, high: number): number {
    return low + (high - low) * (this.next() / 2 ** 32);
  }

  /** 0 … count − 1. */
  below(count: number): number {
    return Math.floor(this.between(0, count));
  }

  chance(probability: number): boolean {
    return this.between(0, 1) < probability;
  }

  pick<T>(items: readonly T[]): T {
    const item = items[this.below(items.length)];
    if (item === undefined) throw new RangeError("RandomStream.pick: expected at least one item, got none.");
    return item;
  }

  /** One of `items`, each as likely as its weight says. */
  weighted<T>(items: readonly T[], weight: (item: T) => number): T {
    let rest = this.between(
      0,
      items.reduce((sum, item) => sum + weight(item), 0),
    );
    for (const item of items) {
      rest -= weight(item);
      if (rest < 0) return item;
    }
    return this.pick(items);
  }

  shuffled<T>(items: readonly T[]): T[] {
    const rest = [...items];
    return items.flatMap(() => rest.splice(this.below(rest.length), 1));
  }
}
