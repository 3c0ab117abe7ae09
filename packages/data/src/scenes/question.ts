/** What is asked about scenes. */

/** The first ten are spelled as in golden/waggle-scenes, so that accuracies stand side by side. */
export type SceneFamily =
  | "color"
  | "shape"
  | "size"
  | "exist"
  | "count"
  | "countall"
  | "where"
  | "rel"
  | "near"
  | "caption"
  | "texture"
  | "between"
  | "box"
  | "phrase"
  | "digits"
  | "word"
  | "tallest";

/** Whether an answer takes knowing where something is, as the projector papers divide benchmarks. */
export const SPATIAL: Readonly<Record<SceneFamily, boolean>> = {
  color: false,
  shape: false,
  size: false,
  exist: false,
  count: false,
  countall: false,
  where: true,
  rel: true,
  near: true,
  caption: true,
  texture: false,
  between: true,
  box: true,
  phrase: true,
  digits: false,
  word: false,
  tallest: true,
};

export const FAMILIES: readonly SceneFamily[] = Object.keys(SPATIAL) as SceneFamily[];

export interface SceneQuestion {
  readonly family: SceneFamily;
  readonly spatial: boolean;
  readonly question: string;
  readonly answer: string;
}

/** A question that a scene allows. */
export interface Candidate {
  readonly question: string;
  readonly answer: string;
  /** What the answer tells: two questions with the same fact are one question in other words. */
  readonly fact: string;
  /** The facts that whoever has read question and answer knows, `fact` among them. */
  readonly reveals: readonly string[];
  /** Whether question or answer is about a pair that training never shows. */
  readonly heldOut: boolean;
}

export const NUMBERS: readonly string[] = ["zero", "one", "two", "three", "four", "five"];

export function numberWord(value: number): string {
  const word = NUMBERS[value];
  if (word === undefined) throw new RangeError(`numberWord: expected 0 to 5 (scenes have at most five things), got ${value}.`);
  return word;
}
