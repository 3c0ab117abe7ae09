/** Drawn pictures with questions about them, as a dataset. Nothing is stored: sample i is drawn when it is asked for. */
import { image } from "@waggle/image";
import { DataError } from "../data-error.ts";
import type { Dataset } from "../dataset.ts";
import type { Sample, Turn } from "../sample.ts";
import { ask } from "./ask.ts";
import { checkScenesOptions } from "./check-options.ts";
import { composeScene } from "./compose-scene.ts";
import { drawScene } from "./draw-scene.ts";
import { FAMILIES, type SceneFamily, type SceneQuestion } from "./question.ts";
import { RandomStream } from "./random-stream.ts";
import { SCENE_KINDS, type Scene, type SceneKind, type SceneSplit, SPLITS } from "./scene.ts";

export interface ScenesOptions {
  /** No two splits share a stream of random numbers, whatever the seed. */
  readonly split: SceneSplit;
  readonly seed: number;
  /** How many pictures. */
  readonly length: number;
  /** The picture's side in pixels. Default 96. The same scene whatever the size. */
  readonly size?: number;
  /** At most so many about a picture. Default 4. */
  readonly questions?: number;
  /** How often a family is asked where a picture allows it; those not named are not asked. Default: all alike. */
  readonly families?: Partial<Readonly<Record<SceneFamily, number>>>;
  /** How often which kind is drawn; those not named are not. Default: plain 4, varied 3, sign 2, chart 1. */
  readonly kinds?: Partial<Readonly<Record<SceneKind, number>>>;
}

/** The conversation's human turns are the questions, in order. */
export interface SceneSample extends Sample {
  readonly scene: Scene;
  readonly questions: readonly SceneQuestion[];
}

export interface SceneDataset extends Dataset {
  sample(index: number): Promise<SceneSample>;
  /** Sample `index` without its picture, which takes a tenth of the time: what is in it and what is asked. */
  describe(index: number): Omit<SceneSample, "images">;
}

const KIND_WEIGHTS: Readonly<Record<SceneKind, number>> = { plain: 4, varied: 3, sign: 2, chart: 1 };

/** After so many scenes without an allowed question there is none to be expected. */
const PATIENCE = 2000;

/**
 * A dataset of drawn scenes. The same options give the same samples, in any order of asking.
 * @throws {DataError} with everything that is wrong with the options.
 */
export function scenes(options: ScenesOptions): SceneDataset {
  checkScenesOptions(options);
  const { split, seed, length, size = 96, questions: count = 4, kinds = KIND_WEIGHTS } = options;
  const weights = Object.fromEntries(
    FAMILIES.map((name) => [name, options.families === undefined ? 1 : (options.families[name] ?? 0)]),
  ) as Record<SceneFamily, number>;
  const heldOut = split === "composition";
  const place = `scenes/${split}/${seed}`;
  // a run that goes on knows its data by this name; samples keep theirs, whatever is asked
  const name = [place, ...settingsOf(options)].join(", ");

  function describe(index: number): Omit<SceneSample, "images"> {
    if (!Number.isInteger(index) || index < 0 || index >= length)
      throw new RangeError(`${name}: expected an index from 0 to ${length - 1}, got ${index}.`);
    const random = new RandomStream(seed, SPLITS.indexOf(split), index);
    for (let attempt = 0; attempt < PATIENCE; attempt++) {
      const scene = composeScene(
        random,
        random.weighted(SCENE_KINDS, (kind) => kinds[kind] ?? 0),
        heldOut,
      );
      const questions = ask(random, scene, { count, weights, heldOut });
      if (questions.length > 0) return { id: `${place}/${index}`, scene, questions, conversations: conversation(questions) };
    }
    const message = `none of ${PATIENCE} scenes allows a question of the families given. Add families, or kinds of scenes that have them.`;
    throw new DataError("option", `${name}: ${message}`);
  }

  return {
    name,
    length,
    describe,
    async sample(index) {
      const described = describe(index);
      return { ...described, images: [image(await drawScene(described.scene, size))] };
    },
  };
}

/** What was said beyond split, seed and length: "questions 2", "kinds {"plain":1}". */
function settingsOf({ size, questions, families, kinds }: ScenesOptions): string[] {
  return Object.entries({ size, questions, families, kinds }).flatMap(([key, value]) =>
    value === undefined ? [] : [`${key} ${JSON.stringify(value)}`],
  );
}

function conversation(questions: readonly SceneQuestion[]): Turn[] {
  return questions.flatMap(({ question, answer }, i): Turn[] => [
    { from: "human", value: i === 0 ? `<image>\n${question}` : question },
    { from: "gpt", value: answer },
  ]);
}
