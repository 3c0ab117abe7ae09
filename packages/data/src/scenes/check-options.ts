import { FAMILIES } from "./question.ts";
import { SCENE_KINDS, SPLITS } from "./scene.ts";
import type { ScenesOptions } from "./scenes.ts";

const KNOWN = ["split", "seed", "length", "size", "questions", "families", "kinds"];

/** @throws {RangeError} that lists everything wrong with the options. */
export function checkScenesOptions(options: ScenesOptions): void {
  const { split, seed, length, size = 96, questions = 4, families, kinds } = options;
  const problems = [
    ...unknown("", options, KNOWN),
    ...(SPLITS.includes(split) ? [] : [`split: expected one of ${SPLITS.join(", ")}, got ${JSON.stringify(split)}.`]),
    ...whole("seed", seed, 0, Number.MAX_SAFE_INTEGER),
    ...whole("length", length, 1, 2 ** 32),
    ...whole("size", size, 32, 1024),
    ...whole("questions", questions, 1, 16),
    ...weights("families", families, FAMILIES),
    ...weights("kinds", kinds, SCENE_KINDS),
  ];
  if (problems.length > 0) throw new RangeError(`scenes():\n${problems.map((problem) => `  ${problem}`).join("\n")}`);
}

function unknown(where: string, given: object, known: readonly string[]): string[] {
  return Object.keys(given)
    .filter((name) => !known.includes(name))
    .map((name) => `${where}${name}: unknown. There are: ${known.join(", ")}.`);
}

function whole(name: string, value: number, low: number, high: number): string[] {
  return Number.isInteger(value) && value >= low && value <= high
    ? []
    : [`${name}: expected a whole number from ${low} to ${high}, got ${value}.`];
}

function weights(name: string, given: Readonly<Record<string, number>> | undefined, known: readonly string[]): string[] {
  if (given === undefined) return [];
  const values = Object.entries(given).filter(([key]) => known.includes(key));
  return [
    ...unknown(`${name}.`, given, known),
    ...values
      .filter(([, value]) => !(value >= 0 && value < Infinity))
      .map(([key, value]) => `${name}.${key}: expected a number ≥ 0, got ${value}.`),
    ...(values.some(([, value]) => value > 0) ? [] : [`${name}: expected at least one weight above 0.`]),
  ];
}
