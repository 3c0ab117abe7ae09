/** A scene of a kind, made up from random numbers. */
import { anyGround, contrasts, darkGround, tone } from "./colors.ts";
import { dotWidth, GLYPH_HEIGHT } from "./glyphs.ts";
import { placeThings, type Spot, type Unplaced } from "./place-things.ts";
import type { RandomStream } from "./random-stream.ts";
import {
  type Bar,
  COLORS,
  isHeldOut,
  PAIRS,
  type Pair,
  type Rgb,
  type Scene,
  type SceneKind,
  SIZES,
  type Sign,
  TEXTURES,
  TRAINING_PAIRS,
} from "./scene.ts";

/** What stands on signs, each at most four letters, drawn in capitals. */
export const SIGN_WORDS: readonly string[] = [
  "stop",
  "go",
  "exit",
  "open",
  "shop",
  "cafe",
  "taxi",
  "bus",
  "zoo",
  "park",
  "sale",
  "hot",
  "cold",
  "push",
  "pull",
  "left",
  "up",
  "down",
  "slow",
  "bee",
  "hive",
  "jazz",
  "quay",
  "milk",
]; // prettier-ignore

/** A scene of `kind`. `heldOut`: with at least one of the pairs that training never shows; otherwise without any. */
export function composeScene(random: RandomStream, kind: SceneKind, heldOut: boolean): Scene {
  const background = ground(random, kind);
  if (kind === "chart") return { kind, background, things: [], sign: null, bars: bars(random, background) };
  // chosen once: if a crowded scene that does not fit were given up, the picture's things would mostly be few
  const count = 1 + random.below(kind === "sign" ? 3 : 5);
  const overlaps = kind === "varied" && random.chance(0.6);
  const aligned = kind !== "sign" && count >= 3 && random.chance(0.35);
  for (;;) {
    const sign = kind === "sign" ? signBoard(random) : null;
    const taken = sign === null ? [] : [sign.box];
    const wanted = lineUp(random, count, kind === "varied", heldOut);
    const things = placeThings(random, wanted, { tones: background, taken, overlaps }, aligned ? inLine(random) : []);
    if (things !== null) return { kind, background, things, sign, bars: [] };
  }
}

function ground(random: RandomStream, kind: SceneKind): readonly [Rgb, Rgb] {
  const pick = kind === "varied" ? anyGround : darkGround;
  const top = pick(random);
  return [top, kind === "varied" && random.chance(0.5) ? pick(random) : top];
}

/**
 * What is to be placed. In half of the scenes many things share a colour, a shape or a size: otherwise "how many
 * red things" would nearly always be one or none.
 */
function lineUp(random: RandomStream, count: number, textured: boolean, heldOut: boolean): Unplaced[] {
  const shared = random.chance(0.5) ? random.pick(["color", "shape", "size"] as const) : null;
  const model = { ...random.pick(PAIRS), size: random.pick(SIZES) };
  const kept = (pairs: readonly Pair[]): readonly Pair[] => {
    if (shared === null || shared === "size" || !random.chance(0.75)) return pairs;
    const alike = pairs.filter((pair) => pair[shared] === model[shared]);
    return alike.length > 0 ? alike : pairs;
  };
  return Array.from({ length: count }, (_, i) => {
    const known = heldOut ? (i === 0 ? PAIRS.filter(isHeldOut) : PAIRS) : TRAINING_PAIRS;
    const size = shared === "size" && random.chance(0.75) ? model.size : random.pick(SIZES);
    return { ...random.pick(kept(known)), size, texture: textured && random.chance(0.6) ? random.pick(TEXTURES) : "flat" };
  });
}

/** Three spots on a line through the picture, the last in the middle of the others: something to be between. */
function inLine(random: RandomStream): Spot[] {
  const [a, b]: [Spot, Spot] = random.pick([
    [
      [random.between(0.1, 0.2), random.between(0.2, 0.8)],
      [random.between(0.8, 0.9), random.between(0.2, 0.8)],
    ],
    [
      [random.between(0.2, 0.8), random.between(0.1, 0.2)],
      [random.between(0.2, 0.8), random.between(0.8, 0.9)],
    ],
  ] as const);
  const share = random.between(0.36, 0.64);
  return [a, b, [a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share]];
}

function signBoard(random: RandomStream): Sign {
  const kind = random.chance(0.5) ? "number" : "word";
  const digits = 1 + random.below(3);
  const text = kind === "word" ? random.pick(SIGN_WORDS) : String(10 ** (digits - 1) + random.below(9 * 10 ** (digits - 1)));
  const grey = random.between(125, 175); // no name of a thing's colour fits it
  const dot = random.between(0.015, Math.min(0.03, 0.5 / dotWidth(text)));
  const [width, height] = [(dotWidth(text) + 4) * dot, (GLYPH_HEIGHT + 4) * dot];
  const [x, y] = [place(random, width), place(random, height)];
  return { kind, text, box: [x, y, x + width, y + height], dot, board: [grey, grey, grey], ink: [12, 12, 14] };
}

/** A start for something `length` long whose middle is off the picture's middle. */
function place(random: RandomStream, length: number): number {
  const low = random.between(0.03, 0.44 - length / 2);
  return random.chance(0.5) ? low : 1 - low - length;
}

const LEVELS = [0.12, 0.2, 0.28, 0.36, 0.44, 0.52, 0.6, 0.68, 0.76];

function bars(random: RandomStream, background: readonly Rgb[]): Bar[] {
  const count = 3 + random.below(3);
  const [pitch, width] = [0.84 / count, random.between(0.45, 0.75) * (0.84 / count)];
  const colors = random.shuffled(COLORS).slice(0, count);
  const heights = random.shuffled(LEVELS);
  const base = 0.9;
  return colors.map((color, i) => {
    const x = 0.08 + pitch * (i + 0.5) - width / 2;
    let fill = tone(random, color);
    while (!background.every((other) => contrasts(other, fill))) fill = tone(random, color);
    return { color, box: [x, base - (heights[i] ?? 0.12) - random.between(0, 0.01), x + width, base], fill };
  });
}
