/** Questions that no trial trains on, each a sample of its own. */
import type { Dataset, Sample, SceneDataset, SceneQuestion } from "@waggle/data";
import { textOnlyBaseline } from "@waggle/data";
import type { ImageInput } from "@waggle/mllm";
import type { AskedQuestion } from "./results.ts";

export interface HeldQuestions {
  readonly asked: readonly AskedQuestion[];
  /** The same with their words and true answers. */
  readonly questions: readonly SceneQuestion[];
  /** What whoever reads questions only guesses. */
  readonly guesses: readonly string[];
  /** Each question with its picture, and with the picture of another sample. */
  readonly matched: Dataset;
  readonly shuffled: Dataset;
  /** See `LabResults.textOnly`. */
  readonly textOnly: string;
  /** Those that projectors are asked about: the first three. */
  pictures(): Promise<readonly ImageInput[]>;
}

const SHOWN = 3;

/** Pictures are drawn once and stay in memory: all trials ask the same. */
export function heldQuestions(scenes: SceneDataset): HeldQuestions {
  const samples = Array.from({ length: scenes.length }, (_, index) => scenes.describe(index));
  const items = samples.flatMap(({ questions }, sample) => questions.map((question) => ({ ...question, sample })));
  const drawn = new Map<number, Promise<readonly ImageInput[]>>();
  const draw = (sample: number): Promise<readonly ImageInput[]> => {
    const found = drawn.get(sample) ?? scenes.sample(sample).then(({ images }) => images);
    drawn.set(sample, found);
    return found;
  };
  const dataset = (name: string, offset: number): Dataset => ({
    name,
    length: items.length,
    async sample(index): Promise<Sample> {
      const { question, answer, sample } = items[index] ?? { question: "", answer: "", sample: 0 };
      const images = await draw((sample + offset) % scenes.length);
      const conversations = [{ from: "human", value: `<image>\n${question}` } as const, { from: "gpt", value: answer } as const];
      return { id: `${name} ${index}`, images, conversations };
    },
  });
  const { guesses } = textOnlyBaseline(samples);
  return {
    asked: items.map(({ family, spatial }) => ({ family, spatial })),
    questions: items,
    guesses,
    matched: dataset(scenes.name, 0),
    shuffled: dataset(`${scenes.name} shuffled`, Math.max(1, Math.floor(scenes.length / 2))),
    textOnly: items.map(({ answer }, i) => (guesses[i] === answer ? "1" : "0")).join(""),
    pictures: async () => (await Promise.all(Array.from({ length: Math.min(SHOWN, scenes.length) }, (_, i) => draw(i)))).flat(),
  };
}
