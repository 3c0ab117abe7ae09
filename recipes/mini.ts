/**
 * Trains waggle-mini from nothing: a CLIP-shaped encoder, a C-Abstractor and a Llama, on drawn scenes.
 *
 *     npm run train:mini -- [folder]     default recipes/runs/mini; goes on where it stopped
 */
import { honeybeeEncoder, type SceneDataset, type ScenesOptions, scenes } from "@waggle/data";
import { adamW, conversations, cosine, type Stage, stage, train } from "@waggle/train";
import { miniModel, tokenizer } from "./mini-model.ts";
import { spelled } from "./visual-words.ts";

const [WORDS = 900, ANSWERS = 2800] = (process.env.STEPS ?? "").split(",").filter(Boolean).map(Number);

const drawn = (seed: number, length: number, options: Partial<ScenesOptions>): SceneDataset =>
  scenes({ split: "train", seed, length, ...options });
const common = { clip: 1, order: "sequential" } as const;
const adam = (lr: number) => adamW({ lr, betas: [0.9, 0.98], weight_decay: 0.02 });
const encoder = honeybeeEncoder({ tokenizer });

const short = {
  color: 1,
  shape: 1,
  size: 0.7,
  texture: 0.5,
  exist: 1,
  count: 1.5,
  countall: 0.5,
  where: 1.2,
  rel: 1.5,
  near: 1.5,
  digits: 1,
  word: 1,
};
const families = { ...short, count: 2, rel: 3, near: 2, between: 1.5, box: 2, phrase: 0.7, tallest: 1.5, caption: 0.1 };

const stages: Stage[] = [
  stage({
    ...common,
    name: "words",
    trainable: ["vision", "projector", "language_model.model.embed_tokens"],
    data: spelled(drawn(1, WORDS * 64, { questions: 1 }), tokenizer),
    ...{ steps: WORDS, batchSize: 64, optimizer: adam(1.5e-3), schedule: cosine({ warmup_steps: 50, min_lr: 2e-4 }) },
  }),
  stage({
    ...common,
    name: "answers",
    trainable: ["vision", "projector", "language"],
    data: conversations(drawn(3, ANSWERS * 32, { questions: 6, families }), { encoder, weight: (length) => 1 / Math.sqrt(length) }),
    ...{ steps: ANSWERS, batchSize: 32, optimizer: adam(1e-3), schedule: cosine({ warmup_steps: 50, min_lr: 3e-5 }) },
  }),
];

const out = process.argv[2] ?? "recipes/runs/mini";
const began = performance.now();
await train({
  model: miniModel(0),
  stages,
  out,
  resume: true,
  checkpointEvery: 250,
  onEvent: (event) => {
    if (event.type === "step" && (event.record.step <= 5 || event.record.step % 20 === 0))
      console.log(
        ((performance.now() - began) / 1000).toFixed(1),
        event.record.step,
        event.record.stage,
        event.record.loss.toFixed(4),
        event.record.gradNorm.toFixed(2),
        event.record.tokensPerSecond.toFixed(0),
        event.record.waitMs.toFixed(0),
      );
    else if (event.type === "sample") console.log(event.prompt.slice(0, 60), "→", event.answer, "|", event.expected);
  },
});
