/**
 * What a model card needs to know, measured: questions about drawn scenes of three kinds, the same questions to another
 * model where both were made for them, and the sizes of the parts.
 */
import { type SceneFamily, type ScenesOptions, scenes } from "@waggle/data";
import { type Scorecard, scorecard } from "@waggle/eval";
import { assemble, inspect, type ModelDescription } from "@waggle/mllm";

/** What golden/waggle-scenes was trained to answer, on plain scenes. */
export const SHARED_FAMILIES: readonly SceneFamily[] = ["color", "shape", "size", "exist", "count", "countall", "where", "rel", "near"];

export interface ModelCard {
  readonly model: Omit<ModelDescription, "folder">;
  /** Scenes of all kinds, all families. */
  readonly test: Scorecard;
  /** The same with pairs of colour and shape that training never shows. */
  readonly composition: Scorecard;
  /** Plain scenes, shared families: this model and the other. */
  readonly plain: Scorecard;
  readonly other: Scorecard;
}

export interface MeasureOptions {
  /** Of each kind. */
  readonly questions: number;
  /** The folder of the other model. */
  readonly other: string;
  readonly featureCache: string;
}

export async function measure(folder: string, { questions, other, featureCache }: MeasureOptions): Promise<ModelCard> {
  const { folder: _, ...model } = await inspect(folder);
  const drawn = (options: Pick<ScenesOptions, "split" | "kinds" | "families">) =>
    scenes({ seed: 0, length: questions, questions: 1, ...options });
  const shared = drawn({ split: "test", kinds: { plain: 1 }, families: Object.fromEntries(SHARED_FAMILIES.map((name) => [name, 1])) });
  const ask = async (id: string, data: ReturnType<typeof scenes>) => scorecard(await assemble(id), data, { featureCache });
  return {
    model,
    test: await ask(folder, drawn({ split: "test" })),
    composition: await ask(folder, drawn({ split: "composition" })),
    plain: await ask(folder, shared),
    other: await ask(other, shared),
  };
}

/** Shared families in which the model is not better than the other. */
export function notBetter({ plain, other }: Pick<ModelCard, "plain" | "other">): readonly SceneFamily[] {
  return SHARED_FAMILIES.filter((family) => share(plain, family) <= share(other, family));
}

function share({ families }: Scorecard, name: SceneFamily): number {
  const found = families.find(({ family }) => family === name);
  return found ? found.right / found.asked : 0;
}
