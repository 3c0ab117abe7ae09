/**
 * The random numbers of sampling: xoshiro128** 1.1 (Blackman and Vigna), its four state words filled by SplitMix64
 * from the seed, as its authors advise. Integer arithmetic only, so a seed gives the same numbers on every machine.
 *
 *     state    two outputs of SplitMix64(seed), each split into its low, then its high 32 bits
 *     next()   (a >>> 5, b >>> 6 of two successive outputs) → (a · 2²⁶ + b) / 2⁵³, in [0, 1)
 */
export class RandomNumbers {
  readonly seed: number;
  readonly #state: Uint32Array;

  constructor(seed: number) {
    this.seed = seed;
    const [a, b] = splitMix64(BigInt(seed));
    this.#state = Uint32Array.of(Number(a & 0xffffffffn), Number(a >> 32n), Number(b & 0xffffffffn), Number(b >> 32n));
  }

  /** A number in [0, 1) with 53 random bits. */
  next(): number {
    return ((this.uint32() >>> 5) * 0x4000000 + (this.uint32() >>> 6)) / 0x20000000000000;
  }

  uint32(): number {
    const [s0 = 0, s1 = 0, s2 = 0, s3 = 0] = this.#state;
    const result = Math.imul(rotateLeft(Math.imul(s1, 5), 7), 9) >>> 0;
    const t2 = s2 ^ s0;
    const t3 = s3 ^ s1;
    this.#state.set([s0 ^ t3, s1 ^ t2, t2 ^ (s1 << 9), rotateLeft(t3, 11)]);
    return result;
  }
}

/** A seed for a call that names none. */
export function randomSeed(): number {
  const [low = 0, high = 0] = crypto.getRandomValues(new Uint32Array(2));
  return (high & 0x1fffff) * 0x100000000 + low;
}

function rotateLeft(x: number, k: number): number {
  return (x << k) | (x >>> (32 - k));
}

function splitMix64(seed: bigint): [bigint, bigint] {
  const word = (x: bigint) => BigInt.asUintN(64, x);
  let state = word(seed);
  const next = () => {
    state = word(state + 0x9e3779b97f4a7c15n);
    let z = state;
    z = word((z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n);
    z = word((z ^ (z >> 27n)) * 0x94d049bb133111ebn);
    return z ^ (z >> 31n);
  };
  return [next(), next()];
}
