/**
 * Trains waggle-mini from nothing, on drawn scenes, and writes it as a Honeybee's folder:
 *
 *     npm run train:mini -- [--out recipes/runs/mini]
 *
 *     words     encoder, projector and embeddings: visual tokens become sums of words, see visual-words.ts
 *     things    the same, one token for each thing
 *     look      language model: short answers and captions over visual tokens that stay as they are
 *     answers   everything: all families of questions
 *
 * Stopped or killed, the same command goes on.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { honeybeeEncoder, type SceneDataset, type ScenesOptions, scenes } from "@waggle/data";
import { fresh } from "@waggle/mllm";
import { adamW, constant, conversations, cosine, ProgressLine, type Stage, stage, train } from "@waggle/train";
import { runs, TOKENIZER, tokenizer } from "./base-parts.ts";
import { writeHoneybee } from "./honeybee-folder.ts";
import { miniComposition, sizes } from "./mini-model.ts";
import { type Saying, spelled } from "./visual-words.ts";

const { values } = parseArgs({ options: { out: { type: "string", default: runs("mini") } } });
const { out } = values;

const drawn = (seed: number, pictures: number, options: Partial<ScenesOptions>): SceneDataset =>
  scenes({ split: "train", seed, length: pictures, ...options });
const adam = { betas: [0.9, 0.98], weight_decay: 0.02 } as const;
const common = { clip: 1, order: "sequential" } as const;
const embeddings = "language_model.model.embed_tokens";

/** Encoder, projector and embeddings: visual tokens become sums of words. */
const spell = (name: string, saying: Saying, seed: number, steps: number, lr: number): Stage =>
  stage({
    ...common,
    name,
    trainable: ["vision", "projector", embeddings],
    data: spelled(drawn(seed, steps * 64, { questions: 1 }), tokenizer, saying),
    ...{ steps, batchSize: 64, optimizer: adamW({ ...adam, lr }), schedule: cosine({ warmup_steps: 50, min_lr: 1e-4 }) },
  });
const words = spell("words", "parts", 1, 900, 1.5e-3);
const things = spell("things", "things", 4, 400, 1e-3);

/** How much a target counts in an answer of so many: unweighted, captions and boxes would drown what has two, like "yes". */
const weight = (length: number): number => (length > 8 ? 1 / Math.sqrt(length) : 1 / length);
const encoder = honeybeeEncoder({ tokenizer });

/**
 * The language model alone, on what words can answer. Captions are why it learns to look: behind "a small red" the shape is
 * one step away, the red thing's; a question needs two, and is not answered before the first is known.
 */
const look: Stage = stage({
  ...common,
  name: "look",
  trainable: ["language"],
  data: conversations(
    drawn(2, 1600 * 8, {
      questions: 6,
      families: { caption: 2, color: 1, shape: 1, size: 1, where: 1, exist: 1 },
      kinds: { plain: 1, varied: 1 },
    }),
    { encoder, weight },
  ),
  // steps, not pictures, are what finding a word takes: in the same time small batches come farther
  ...{ steps: 1600, batchSize: 8, schedule: constant({ warmup_steps: 100 }) },
  optimizer: adamW({ ...adam, lr: 1.5e-3, groups: [{ parameters: embeddings, lr: 1e-4 }] }), // else the words would leave the visual tokens behind
});

/** What takes long to learn is asked more often. */
const families = {
  ...{ color: 1, shape: 1, size: 0.7, texture: 0.5, exist: 1, count: 2, countall: 0.5, digits: 1, word: 1 },
  ...{ where: 1, rel: 3, near: 2, between: 1.5, box: 2, phrase: 0.7, tallest: 1.5, caption: 0.7 },
};
const answers: Stage = stage({
  ...common,
  name: "answers",
  trainable: ["vision", "projector", "language"],
  data: conversations(drawn(3, 7000 * 16, { questions: 6, families }), { encoder, weight }),
  ...{ steps: 7000, batchSize: 16, schedule: cosine({ warmup_steps: 100, min_lr: 3e-5 }) },
  optimizer: adamW({ ...adam, lr: 1e-3, groups: [{ parameters: ["vision", "projector", embeddings], lr: 2e-4 }] }),
});

const progress = new ProgressLine();
const composition = miniComposition();
let model = fresh(composition, { seed: 0 });
for (const stage of [words, things, look, answers]) {
  const folder = join(out, stage.name);
  // a run that has ended is not opened again: what it wrote would be written anew, and the next run would take it for another model
  if (!existsSync(join(folder, "model")))
    await train({ model, stages: [stage], out: folder, resume: true, checkpointEvery: 200, onEvent: (event) => progress.write(event) });
  model = await composition.assemble(join(folder, "model"));
}
await writeHoneybee(join(out, "waggle-mini"), composition.modules, sizes, TOKENIZER);
