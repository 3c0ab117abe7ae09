/** Damage to files, by chance but the same in every run. */
export type Random = (below: number) => number;
export type Damage = (bytes: Buffer, random: Random) => Buffer;

/** Mulberry32: a small generator with the same numbers everywhere. */
export function generator(seed: number): Random {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

/** What can happen to any file. */
export const blindDamages: readonly Damage[] = [
  function flipBits(bytes, random) {
    for (let flips = 1 + random(4); flips > 0; flips--) flip(bytes, random(bytes.length), random);
    return bytes;
  },
  function flipNearStart(bytes, random) {
    flip(bytes, random(Math.min(bytes.length, 400)), random);
    return bytes;
  },
  function cutOff(bytes, random) {
    return bytes.subarray(0, random(bytes.length));
  },
  function addBehind(bytes, random) {
    return Buffer.concat([bytes, Buffer.alloc(1 + random(64))]);
  },
  function movePiece(bytes, random) {
    const [from, to, length] = [random(bytes.length), random(bytes.length), random(64)];
    bytes.copyWithin(to, from, from + length);
    return bytes;
  },
  function overwriteBytes(bytes, random) {
    for (let count = 1 + random(8), at = random(bytes.length); count > 0 && at < bytes.length; count--, at++)
      bytes.writeUInt8([0, 255, random(256)][random(3)] ?? 0, at);
    return bytes;
  },
];

function flip(bytes: Buffer, at: number, random: Random): void {
  bytes.writeUInt8((bytes[at] ?? 0) ^ (1 << random(8)), at);
}
