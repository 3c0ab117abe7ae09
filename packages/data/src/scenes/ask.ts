/** Chooses questions about a scene: families by weight, then answers evenly, then one of the questions with that answer. */
import {
  colorQuestions,
  countAllQuestions,
  countQuestions,
  existQuestions,
  readingQuestions,
  shapeQuestions,
  sizeQuestions,
  textureQuestions,
} from "./attribute-questions.ts";
import { type Candidate, FAMILIES, NUMBERS, type SceneFamily, type SceneQuestion, SPATIAL } from "./question.ts";
import type { RandomStream } from "./random-stream.ts";
import type { Scene } from "./scene.ts";
import {
  betweenQuestions,
  boxQuestions,
  captionQuestions,
  nearestQuestions,
  phraseQuestions,
  relationQuestions,
  tallestQuestions,
  whereQuestions,
} from "./spatial-questions.ts";

/** Every question of a family that a scene allows. */
export const questionsOf: Readonly<Record<SceneFamily, (scene: Scene) => readonly Candidate[]>> = {
  color: colorQuestions,
  shape: shapeQuestions,
  size: sizeQuestions,
  exist: existQuestions,
  count: countQuestions,
  countall: countAllQuestions,
  where: whereQuestions,
  rel: relationQuestions,
  near: nearestQuestions,
  caption: captionQuestions,
  texture: textureQuestions,
  between: betweenQuestions,
  box: boxQuestions,
  phrase: phraseQuestions,
  digits: readingQuestions("number"),
  word: readingQuestions("word"),
  tallest: tallestQuestions,
};

export interface AskOptions {
  readonly count: number;
  readonly weights: Readonly<Record<SceneFamily, number>>;
  /** Only about pairs that training never shows; otherwise only about others. */
  readonly heldOut: boolean;
}

/**
 * At most `count` questions, none of which an earlier one gives away, and no family twice before every family was asked.
 * A caption gives everything away, so it is the last one.
 */
export function ask(random: RandomStream, scene: Scene, { count, weights, heldOut }: AskOptions): SceneQuestion[] {
  const asked: SceneQuestion[] = [];
  const known = new Set<string>();
  let families = FAMILIES.filter((family) => weights[family] > 0);
  let open = families;
  while (asked.length < count && families.length > 0 && !known.has("caption")) {
    if (open.length === 0) open = families;
    const family = random.weighted(open, (name) => weights[name]);
    open = open.filter((name) => name !== family);
    const fitting = questionsOf[family](scene).filter((item) => item.heldOut === heldOut);
    const allowed = fitting.filter(({ fact }) => !known.has(fact));
    if (allowed.length === 0 || oneSided(fitting, allowed)) {
      families = families.filter((name) => name !== family);
      continue;
    }
    const { question, answer, reveals } = evenly(random, allowed);
    asked.push({ family, spatial: SPATIAL[family], question, answer });
    for (const fact of reveals) known.add(fact);
  }
  return asked;
}

/** Whether only "no" is left of "yes" and "no" (what is there has been named already), so that the turns before would give the answer away. */
function oneSided(fitting: readonly Candidate[], allowed: readonly Candidate[]): boolean {
  const answers = (items: readonly Candidate[]): ReadonlySet<string> => new Set(items.map(({ answer }) => answer));
  return answers(fitting).has("yes") && answers(fitting).has("no") && !(answers(allowed).has("yes") && answers(allowed).has("no"));
}

/** Answers alike often, but numbers from two up more often where there are any: most scenes allow only "zero" and "one". */
function evenly(random: RandomStream, allowed: readonly Candidate[]): Candidate {
  const answers = [...new Set(allowed.map(({ answer }) => answer))];
  const answer = random.weighted(answers, (text) => (NUMBERS.indexOf(text) > 1 ? 3 : 1));
  return random.pick(allowed.filter((item) => item.answer === answer));
}
