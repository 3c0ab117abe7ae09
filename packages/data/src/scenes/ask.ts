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

/** At most `count` questions with different texts, no family twice before every family was asked. */
export function ask(random: RandomStream, scene: Scene, { count, weights, heldOut }: AskOptions): SceneQuestion[] {
  const asked: SceneQuestion[] = [];
  let families = FAMILIES.filter((family) => weights[family] > 0);
  let open = families;
  while (asked.length < count && families.length > 0) {
    if (open.length === 0) open = families;
    const family = random.weighted(open, (name) => weights[name]);
    open = open.filter((name) => name !== family);
    const allowed = questionsOf[family](scene).filter(
      (item) => item.heldOut === heldOut && !asked.some(({ question }) => question === item.question),
    );
    if (allowed.length === 0) {
      families = families.filter((name) => name !== family);
      continue;
    }
    const { question, answer } = evenly(random, allowed);
    asked.push({ family, spatial: SPATIAL[family], question, answer });
  }
  return asked;
}

/** Answers alike often, but numbers from two up more often where there are any: most scenes allow only "zero" and "one". */
function evenly(random: RandomStream, allowed: readonly Candidate[]): Candidate {
  const answers = [...new Set(allowed.map(({ answer }) => answer))];
  const answer = random.weighted(answers, (text) => (NUMBERS.indexOf(text) > 1 ? 3 : 1));
  return random.pick(allowed.filter((item) => item.answer === answer));
}
