/**
 * Trains the language model of the lab's base on text alone: scenes are told in words and asked about, in Honeybee's form. A projector
 * then has to make visual tokens that say what a telling says, and nothing here knows how.
 *
 *     node --conditions=@waggle/source --import tsx recipes/base-language.ts [--steps 2000]
 *
 * Stopped or killed, the same command goes on. What is learnt is in `recipes/runs/base-language/model`; `base.ts` takes it from there.
 */
import { parseArgs } from "node:util";
import { honeybeeEncoder, type SceneSplit, scenes } from "@waggle/data";
import { freshText, honeybeePrompt } from "@waggle/mllm";
import { adamW, conversations, cosine, ProgressLine, stage, train } from "@waggle/train";
import { languageModel, runs, tokenizer, weight } from "./base-parts.ts";
import { FAMILIES, KINDS, toldScenes } from "./scene-words.ts";

const STEPS = 6000;
/** Small batches: steps, not scenes, are what finding a word in a telling takes. */
const BATCH = 8;
const { values } = parseArgs({ options: { steps: { type: "string", default: String(STEPS) } } });
const steps = Number(values.steps);

const lists = ["things", "counts", "pairs", "nearest", "relations"] as const;
const told = (split: SceneSplit, length: number) =>
  conversations(toldScenes(scenes({ split, seed: 0, length, questions: 6, families: FAMILIES, kinds: KINDS }), lists), {
    ...{ encoder: honeybeeEncoder({ tokenizer }), weight },
  });
const learn = stage({
  name: "tell",
  trainable: ["*"],
  data: told("train", steps * BATCH),
  validation: told("validation", 200),
  ...{ steps, batchSize: BATCH, clip: 1 },
  optimizer: adamW({ lr: 1.5e-3, betas: [0.9, 0.98], weight_decay: 0.05 }),
  schedule: cosine({ warmup_steps: 100 }),
});
const progress = new ProgressLine();
const model = freshText({ language: languageModel(), tokenizer, prompt: honeybeePrompt }, { seed: 0 });
const out = runs(steps === STEPS ? "base-language" : `base-language-${steps}`);
await train({ model, stages: [learn], out, resume: true, checkpointEvery: 500, onEvent: (event) => progress.write(event) });
