import { checkOptions, wholeFrom } from "../data-error.ts";
import { FAMILIES } from "./question.ts";
import { SCENE_KINDS, SPLITS } from "./scene.ts";
import type { ScenesOptions } from "./scenes.ts";

const KNOWN = ["split", "seed", "length", "size", "questions", "families", "kinds"];

/** Beyond it samples would come again: see RandomStream. */
const LONGEST = 2 ** 32;

/** @throws {DataError} with the code "option", which lists everything wrong with the options. */
export function checkScenesOptions(options: ScenesOptions): void {
  const { split, seed, length, size = 96, questions, families, kinds } = options;
  checkOptions("scenes", options, KNOWN, [
    SPLITS.includes(split) ? null : `split: expected one of ${SPLITS.join(", ")}, got ${JSON.stringify(split)}.`,
    // Number(): a missing option is a mistake here, not a default
    wholeFrom(0, "seed", Number(seed)),
    wholeFrom(1, "length", Number(length)),
    length > LONGEST ? `length: expected at most ${LONGEST}, got ${length}.` : null,
    Number.isInteger(size) && size >= 32 && size <= 1024 ? null : `size: expected a whole number from 32 to 1024, got ${size}.`,
    wholeFrom(1, "questions", questions),
    ...weights("families", families, FAMILIES),
    ...weights("kinds", kinds, SCENE_KINDS),
  ]);
}

function weights(name: string, given: Readonly<Record<string, number>> | undefined, known: readonly string[]): string[] {
  if (given === undefined) return [];
  const problems = Object.entries(given).flatMap(([key, value]) => {
    if (!known.includes(key)) return [`${name}.${key}: unknown. There are: ${known.join(", ")}.`];
    return Number.isFinite(value) && value >= 0 ? [] : [`${name}.${key}: expected a number ≥ 0, got ${value}.`];
  });
  return Object.values(given).some((value) => value > 0) ? problems : [...problems, `${name}: expected at least one weight above 0.`];
}
