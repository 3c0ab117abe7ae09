/**
 * How well a model answers questions about drawn scenes, as its model card says it: family by family, beside what reading
 * the questions alone would give, and where it errs, what it says instead.
 *
 * Answers that are right letter by letter are found without generating (`exactMatches`); only the others are generated.
 */
import { boxOverlap, parseBox, type SceneDataset, type SceneFamily, type SceneQuestion } from "@waggle/data";
import { type Assembly, start } from "@waggle/mllm";
import { type ExactMatchOptions, exactMatches } from "./exact-matches.ts";
import { type HeldQuestions, heldQuestions } from "./held-questions.ts";

export interface Scorecard {
  readonly asked: number;
  /** Letter by letter. */
  readonly right: number;
  readonly families: readonly FamilyCard[];
  /** Of the questions for a box: the mean overlap (IoU) with the true one, no box being 0; null if there was none. */
  readonly boxes: { readonly asked: number; readonly said: number; readonly overlap: number; readonly textOnly: number } | null;
  /** For families with few answers. */
  readonly confusions: readonly Confusion[];
}

export interface FamilyCard {
  readonly family: SceneFamily;
  readonly asked: number;
  readonly right: number;
  /** How many whoever reads questions only guesses right. */
  readonly textOnly: number;
}

/** counts[i][j]: how often the model said `said[j]` where `answers[i]` is true. */
export interface Confusion {
  readonly family: SceneFamily;
  readonly answers: readonly string[];
  /** The answers, and "other" behind them for everything that is none of them. */
  readonly said: readonly string[];
  readonly counts: readonly (readonly number[])[];
}

/** Asks `model` every question of `scenes`; with `questions: 1` a picture, questions are independent. */
export async function scorecard(model: Assembly, scenes: SceneDataset, options: ExactMatchOptions): Promise<Scorecard> {
  const held = heldQuestions(scenes);
  const right = await exactMatches(model, held.matched, options);
  return scoreAnswers(held.questions, await answersOf(model, held, right, options), held.guesses);
}

const TOGETHER = 64;
/** A caption of five things takes some sixty. */
const MOST_TOKENS = 96;

/** What the model says, greedily: the true answer where `right` has a 1. */
async function answersOf(
  model: Assembly,
  { questions, matched }: HeldQuestions,
  right: string,
  { threads, signal }: ExactMatchOptions,
): Promise<readonly string[]> {
  const said = questions.map(({ answer }) => answer);
  const wrong = questions.flatMap((_, i) => (right[i] === "1" ? [] : [i]));
  using running = await start(model, { signal, ...(threads !== undefined && { threads }) });
  for (let first = 0; first < wrong.length; first += TOGETHER) {
    const part = wrong.slice(first, first + TOGETHER);
    const prompts = await Promise.all(
      part.map(async (i) => {
        const { images } = await matched.sample(i);
        return [{ role: "user" as const, content: [...images, questions[i]?.question ?? ""] }];
      }),
    );
    const results = await running.generateBatch(prompts, { do_sample: false, max_new_tokens: MOST_TOKENS, signal });
    for (const [k, i] of part.entries()) said[i] = results[k]?.text.trim() ?? "";
  }
  return said;
}

/** `said` and `guesses` have a text for each question. */
export function scoreAnswers(questions: readonly SceneQuestion[], said: readonly string[], guesses: readonly string[]): Scorecard {
  const rows = questions.map(({ family, answer }, i) => ({ family, answer, said: said[i] ?? "", guess: guesses[i] ?? "" }));
  const names = [...new Set(rows.map(({ family }) => family))];
  const groups = names.map((name) => [name, rows.filter(({ family }) => family === name)] as const);
  const families = groups.map(([family, asked]) => ({
    family,
    asked: asked.length,
    right: asked.filter((row) => row.said === row.answer).length,
    textOnly: asked.filter((row) => row.guess === row.answer).length,
  }));
  return {
    asked: rows.length,
    right: families.reduce((sum, { right }) => sum + right, 0),
    families,
    boxes: boxesOf(rows.filter(({ family }) => family === "box")),
    confusions: groups.flatMap(([family, asked]) => (CONFUSED.includes(family) ? [confusionOf(family, asked)] : [])),
  };
}

interface Row {
  readonly answer: string;
  readonly said: string;
  readonly guess: string;
}

function boxesOf(rows: readonly Row[]): Scorecard["boxes"] {
  if (rows.length === 0) return null;
  const overlaps = (text: (row: Row) => string): number[] =>
    rows.map((row) => {
      const [box, truth] = [parseBox(text(row)), parseBox(row.answer)];
      return box && truth ? boxOverlap(box, truth) : 0;
    });
  return {
    asked: rows.length,
    said: rows.filter(({ said }) => parseBox(said) !== null).length,
    overlap: mean(overlaps(({ said }) => said)),
    textOnly: mean(overlaps(({ guess }) => guess)),
  };
}

const CONFUSED: readonly SceneFamily[] = ["color", "shape", "size", "count", "where"];
const NUMBERS = ["zero", "one", "two", "three", "four", "five"];

function confusionOf(family: SceneFamily, rows: readonly Row[]): Confusion {
  const rank = (answer: string): string => (NUMBERS.includes(answer) ? String(NUMBERS.indexOf(answer)) : answer);
  const answers = [...new Set(rows.map(({ answer }) => answer))].sort((a, b) => (rank(a) < rank(b) ? -1 : 1));
  const counts = answers.map(() => new Array<number>(answers.length + 1).fill(0));
  for (const { answer, said } of rows) {
    const row = counts[answers.indexOf(answer)] ?? [];
    const column = answers.includes(said) ? answers.indexOf(said) : answers.length;
    row[column] = (row[column] ?? 0) + 1;
  }
  return { family, answers, said: [...answers, "other"], counts };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
