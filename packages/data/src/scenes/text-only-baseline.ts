/** What can be known without the picture: the score of somebody who only reads the questions. */
import type { SceneFamily, SceneQuestion } from "./question.ts";

export interface BaselineScore {
  readonly asked: number;
  readonly right: number;
  /** right / asked */
  readonly share: number;
}

export interface TextOnlyBaseline {
  /** The guess for every question, samples in order and their questions in order, to be scored as a model's answers are. */
  readonly guesses: readonly string[];
  /** Guesses that are the answer, letter by letter. */
  readonly all: BaselineScore;
  readonly families: Partial<Readonly<Record<SceneFamily, BaselineScore>>>;
}

/** What is looked at of a sample. */
interface Asked {
  readonly questions: readonly SceneQuestion[];
}

/**
 * Guesses every question's most frequent answer; for a question that was not seen, or between equally frequent answers,
 * the family's most frequent. Honest about what it has seen: the samples with even numbers are guessed from those
 * with odd numbers, and the other way round. So it takes some hundred samples before the figures mean something.
 */
export function textOnlyBaseline(samples: readonly Asked[]): TextOnlyBaseline {
  const knowledge = [0, 1].map((half) => tally(samples.filter((_, i) => i % 2 !== half)));
  const all = new Score();
  const families = new Map<SceneFamily, Score>();
  const guesses = samples.flatMap(({ questions }, i) =>
    questions.map(({ family, question, answer }) => {
      const guess = knowledge[i % 2]?.(family, question) ?? "";
      const score = families.get(family) ?? new Score();
      families.set(family, score);
      for (const counted of [all, score]) counted.add(guess === answer);
      return guess;
    }),
  );
  return { guesses, all: all.result(), families: Object.fromEntries([...families].map(([name, score]) => [name, score.result()])) };
}

type Guesser = (family: SceneFamily, question: string) => string;

function tally(samples: readonly Asked[]): Guesser {
  const byFamily = new Map<string, Map<string, number>>();
  const byQuestion = new Map<string, Map<string, number>>();
  for (const { family, question, answer } of samples.flatMap(({ questions }) => questions)) {
    count(byFamily, family, answer);
    count(byQuestion, question, answer);
  }
  const familyGuess = new Map([...byFamily].map(([family, counts]) => [family, mostFrequent(counts, () => 0)]));
  return (family, question) => {
    const counts = byQuestion.get(question);
    if (counts === undefined) return familyGuess.get(family) ?? "";
    return mostFrequent(counts, (answer) => byFamily.get(family)?.get(answer) ?? 0);
  };
}

function count(table: Map<string, Map<string, number>>, key: string, answer: string): void {
  const counts = table.get(key) ?? new Map<string, number>();
  table.set(key, counts.set(answer, (counts.get(answer) ?? 0) + 1));
}

/** Between equals, the one that `tieBreak` counts higher. */
function mostFrequent(counts: ReadonlyMap<string, number>, tieBreak: (answer: string) => number): string {
  const ranked = [...counts].sort(([a, n], [b, m]) => m - n || tieBreak(b) - tieBreak(a));
  return ranked[0]?.[0] ?? "";
}

class Score {
  private asked = 0;
  private right = 0;

  add(right: boolean): void {
    this.asked++;
    if (right) this.right++;
  }

  result(): BaselineScore {
    return { asked: this.asked, right: this.right, share: this.asked === 0 ? 0 : this.right / this.asked };
  }
}
