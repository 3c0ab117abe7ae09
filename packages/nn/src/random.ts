/**
 * Random numbers for initialisers: xoshiro128++ (Blackman and Vigna, 2019), its state filled by splitmix32 from the seed
 * and from the parameter's name. Integer arithmetic only, so the same numbers come out on every machine; and since every
 * parameter has its own stream, a layer more or less changes no other layer.
 */
export interface Random {
  /** A number in [0, 1), 24 bits of it random (what a float32 can hold). */
  uniform(): number;
  /** A number of the standard normal distribution (Box and Muller; one of each pair is used). */
  normal(): number;
}

export function random(seed: number, name: string): Random {
  if (!Number.isSafeInteger(seed) || seed < 0) throw new RangeError(`seed: expected an integer ≥ 0, got ${seed}.`);
  const next = splitmix32((seed >>> 0) ^ hash(`${name}\0${Math.floor(seed / 2 ** 32)}`));
  const state = Uint32Array.from([next(), next(), next(), next()]);
  const uniform = (): number => (xoshiro128(state) >>> 8) / 2 ** 24;
  const normal = (): number => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  return { uniform, normal };
}

/** The next number of the stream, 32 bits. */
export function xoshiro128(state: Uint32Array): number {
  const [a = 0, b = 0, c = 0, d = 0] = state;
  const result = (rotate((a + d) | 0, 7) + a) >>> 0;
  const third = c ^ a;
  const fourth = d ^ b;
  state[0] = a ^ fourth;
  state[1] = b ^ third;
  state[2] = third ^ (b << 9);
  state[3] = rotate(fourth, 11);
  return result;
}

function rotate(x: number, bits: number): number {
  return (x << bits) | (x >>> (32 - bits));
}

function splitmix32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let z = state ^ (state >>> 16);
    z = Math.imul(z, 0x21f0aaad);
    z ^= z >>> 15;
    z = Math.imul(z, 0x735a2d97);
    return (z ^ (z >>> 15)) >>> 0;
  };
}

/** FNV-1a over the UTF-16 units. */
export function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  return value >>> 0;
}
