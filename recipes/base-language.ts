/**
 * Trains the language model of the lab's base on text alone: scenes are told in words, all words of a thing at once, and asked about in
 * Honeybee's form. A projector then has to make visual tokens that say what a telling says, and nothing here knows how.
 *
 *     node --conditions=@waggle/source --import tsx recipes/base-language.ts
 *
 * Stopped or killed, the same command goes on. What is learnt is in `recipes/runs/base-language/model`; `base.ts` takes it from there.
 */
import { honeybeeEncoder, type SceneSplit, scenes } from "@waggle/data";
import { freshText, honeybeePrompt } from "@waggle/mllm";
import { adamW, constant, conversations, cosine, ProgressLine, stage, type Task, train } from "@waggle/train";
import { atOnce, summed } from "./at-once.ts";
import { languageModel, runs, tokenizer, weight } from "./base-parts.ts";
import type { Listing } from "./listings.ts";
import { FAMILIES, KINDS, toldScenes } from "./scene-words.ts";

const STEPS = { look: 2500, answer: 6500 };
/** Small batches: steps, not scenes, are what finding a word in a telling takes. */
const BATCH = 8;

const lists = ["things", "counts", "pairs", "nearest", "relations"] as const;
const told = (split: SceneSplit, seed: number, length: number, listed: readonly Listing[], count = 1): Task => {
  const drawn = scenes({ split, seed, length, questions: 6, families: FAMILIES, kinds: KINDS });
  return summed(conversations(toldScenes(drawn, listed, count), { encoder: honeybeeEncoder({ tokenizer: atOnce }), weight }));
};
const common = {
  ...{ trainable: ["*"], batchSize: BATCH, clip: 1 },
  // words that nearly stand still are found sooner
  optimizer: adamW({
    ...{ lr: 1.5e-3, betas: [0.9, 0.98], weight_decay: 0.02 },
    groups: [{ parameters: "language_model.model.embed_tokens", lr: 1e-4 }],
  }),
} as const;
/** Looking words up in a telling comes first: `lists` would drown what teaches it. */
const stages = [
  stage({
    ...{ ...common, name: "look", data: told("train", 0, STEPS.look * BATCH, ["things"]) },
    ...{ steps: STEPS.look, schedule: constant({ warmup_steps: 50 }) },
  }),
  stage({
    ...{ ...common, name: "answer", data: told("train", 1, STEPS.answer * BATCH, lists, 2) },
    ...{ steps: STEPS.answer, schedule: cosine({ warmup_steps: 50 }) },
  }),
];
const progress = new ProgressLine();
const model = freshText({ language: languageModel(), tokenizer, prompt: honeybeePrompt }, { seed: 0 });
await train({ model, stages, out: runs("base-language"), resume: true, checkpointEvery: 500, onEvent: (event) => progress.write(event) });
