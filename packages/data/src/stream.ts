/** Streams of random numbers under one seed; those below 16 belong to the splits of drawn scenes. */
export const ORDER = 16;
export const CAPTIONS = 17;
export const MIXTURE = 18;

/** A seed of its own for every epoch: far apart, so that no epoch of one seed is an epoch of the next seed. */
export function epochSeed(seed: number, epoch: number): number {
  return (seed + epoch * 0x9e3779b9) % 2 ** 53;
}
