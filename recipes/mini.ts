/**
 * Trains waggle-mini from nothing: a CLIP-shaped encoder, a C-Abstractor and a Llama, on drawn scenes.
 *
 *     npm run train:mini -- [folder]     default runs/mini; goes on where it stopped
 */
import { honeybeeEncoder, scenes } from "@waggle/data";
import { llama } from "@waggle/language";
import { type Assembly, compose, fresh, honeybeePrompt } from "@waggle/mllm";
import { cAbstractor } from "@waggle/projectors";
import { loadTokenizer } from "@waggle/text";
import { adamW, conversations, cosine, JsonLines, logs, ProgressLine, type Stage, stage, train } from "@waggle/train";
import { clip } from "@waggle/vision";
import { visualWords, withVisualWords } from "./visual-words.ts";

const WORDS = Number(process.env.WORDS ?? 500);
const ANSWERS = Number(process.env.ANSWERS ?? 4200);
const BATCH = 32;

const tokenizer = await loadTokenizer(new URL("tokenizer", import.meta.url).pathname);

function miniModel(): Assembly {
  const composition = compose({
    vision: clip(
      {
        image_size: 96,
        patch_size: 12,
        hidden_size: 192,
        intermediate_size: 768,
        num_hidden_layers: 4,
        num_attention_heads: 6,
        hidden_act: "quick_gelu",
      },
      { layer: -1 },
    ),
    projector: cAbstractor({ tokens: 36 }),
    language: llama({
      ...{
        vocab_size: 674,
        hidden_size: 192,
        intermediate_size: 512,
        num_hidden_layers: 5,
        num_attention_heads: 6,
        num_key_value_heads: 6,
      },
      ...{ max_position_embeddings: 1024, tie_word_embeddings: true },
    }),
    prompt: honeybeePrompt,
    tokenizer,
  });
  return fresh(composition, { seed: 0 });
}

const families = {
  ...{ color: 1, shape: 1, size: 0.7, texture: 0.7, exist: 1.2, count: 2, countall: 0.7, digits: 1, word: 1 },
  ...{ where: 1, rel: 3, near: 2, between: 1.5, box: 2, phrase: 0.7, tallest: 1.5, caption: 0.15 },
};
const optimizer = adamW({ lr: 1e-3, betas: [0.9, 0.98], weight_decay: 0.02 });
const everything = { trainable: ["vision", "projector", "language"], batchSize: BATCH, optimizer, clip: 1, order: "sequential" } as const;

const stages: Stage[] = [
  stage({
    ...everything,
    name: "words",
    data: conversations(scenes({ split: "train", seed: 1, length: WORDS * BATCH * 2, questions: 1 }), { encoder: visualWords(tokenizer) }),
    batchSize: BATCH * 2,
    steps: WORDS,
    schedule: cosine({ warmup_steps: 100, min_lr: 3e-4 }),
  }),
  stage({
    ...everything,
    name: "answers",
    data: conversations(scenes({ split: "train", seed: 2, length: ANSWERS * BATCH, questions: 6, families }), {
      encoder: withVisualWords(honeybeeEncoder({ tokenizer }), tokenizer),
      weight: (length) => (length === 36 ? 0.03 : 1 / Math.sqrt(length)),
    }),
    steps: ANSWERS,
    schedule: cosine({ warmup_steps: 100, min_lr: 3e-5 }),
  }),
];

const out = process.argv[2] ?? "runs/mini";
const began = performance.now();
const model = miniModel();
let n = 0;
for (const [, { shape }] of model.composition!.modules.namedParameters()) n += shape.reduce((a, b) => a * b, 1);
console.log("parameters", n);
await train({
  model,
  stages,
  out,
  resume: true,
  onEvent: (event) => {
    if (event.type === "step" && (event.record.step <= 5 || event.record.step % 20 === 0))
      console.log(((performance.now() - began) / 1000).toFixed(1), JSON.stringify(event.record));
    else if (event.type === "sample") console.log(event.prompt.slice(0, 60), "→", event.answer, "|", event.expected);
  },
});
