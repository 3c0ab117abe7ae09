/** Tones of the named colours and of grounds: as in golden/waggle-scenes, every thing a little different. */
import type { RandomStream } from "./random-stream.ts";
import type { Color, Rgb } from "./scene.ts";

const PALETTE: Readonly<Record<Color, Rgb>> = {
  red: [218, 48, 46],
  green: [46, 153, 60],
  blue: [60, 86, 214],
  yellow: [232, 200, 50],
  purple: [148, 58, 185],
  pink: [238, 148, 186],
  orange: [248, 145, 40],
  white: [246, 240, 248],
};

/** How far a channel goes from the palette: less than half of the way to the next colour. */
const JITTER = 16;

/** Two tones nearer than this (Euclidean, 0 to 441) are not drawn beside each other. */
const CONTRAST = 80;

export function tone(random: RandomStream, color: Color): Rgb {
  return around(random, PALETTE[color], JITTER);
}

/** Dark, as in golden/waggle-scenes. */
export function darkGround(random: RandomStream): Rgb {
  return [random.between(18, 70), random.between(18, 70), random.between(18, 70)];
}

/** From nearly black to a middle grey with a tinge. */
export function anyGround(random: RandomStream): Rgb {
  const grey = random.between(24, 128);
  return around(random, [grey, grey, grey], 18);
}

function around(random: RandomStream, [r, g, b]: Rgb, width: number): Rgb {
  const shift = (value: number): number => Math.max(0, Math.min(255, Math.round(value + random.between(-width, width))));
  return [shift(r), shift(g), shift(b)];
}

export function contrasts(a: Rgb, b: Rgb): boolean {
  return Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]) >= CONTRAST;
}
