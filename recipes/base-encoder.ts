/**
 * Trains the encoder of the lab's base as CLIP was, on pictures and phrases about them: see contrastive-task.ts.
 *
 *     node --conditions=@waggle/source --import tsx recipes/base-encoder.ts [--steps 2500]
 *
 * Stopped or killed, the same command goes on. What is learnt is in `recipes/runs/base-encoder/model`; `base.ts` takes the encoder of it.
 */
import { parseArgs } from "node:util";
import { scenes } from "@waggle/data";
import { llama } from "@waggle/language";
import { compose, fresh, honeybeePrompt } from "@waggle/mllm";
import { adamW, cosine, ProgressLine, stage, train } from "@waggle/train";
import { encoder, runs, tokenizer } from "./base-parts.ts";
import { clipHead, contrastiveScenes } from "./contrastive-task.ts";
import { FAMILIES, KINDS } from "./scene-words.ts";

const STEPS = 2500;
const BATCH = 32;
const { values } = parseArgs({ options: { steps: { type: "string", default: String(STEPS) } } });
const steps = Number(values.steps);

const model = fresh(
  compose({
    vision: encoder({ layer: -1 }),
    projector: clipHead,
    language: llama({
      ...{ vocab_size: tokenizer.size, hidden_size: 128, intermediate_size: 352, num_hidden_layers: 2, num_attention_heads: 4 },
      ...{ max_position_embeddings: 128, tie_word_embeddings: true },
    }),
    prompt: honeybeePrompt,
    tokenizer,
  }),
  { seed: 0 },
);
const pictures = scenes({ split: "train", seed: 0, length: steps * BATCH, questions: 1, families: FAMILIES, kinds: KINDS });
const learn = stage({
  name: "contrast",
  trainable: ["*"],
  data: contrastiveScenes(pictures),
  ...{ steps, batchSize: BATCH, clip: 1 },
  optimizer: adamW({ lr: 1e-3, betas: [0.9, 0.98], weight_decay: 0.05 }),
  schedule: cosine({ warmup_ratio: 0.05 }),
});
const progress = new ProgressLine();
const out = runs(steps === STEPS ? "base-encoder" : `base-encoder-${steps}`);
await train({ model, stages: [learn], out, resume: true, checkpointEvery: 100, onEvent: (event) => progress.write(event) });
