/**
 * Trains waggle-mini from nothing, on drawn scenes, and writes it as a Honeybee's folder:
 *
 *     npm run train:mini -- [--out recipes/runs/mini]
 *
 *     words     encoder, projector and embeddings: visual tokens become sums of words, see visual-words.ts
 *     things    the same, one token for each thing
 *     look      language model, over visual tokens that stay as they are: captions, lists of things, few families of questions
 *     every     language model: all families
 *     list      language model: lists of what questions ask for one by one
 *     answers   everything: all families, and lists
 *
 * Stopped or killed, the same command goes on.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Dataset, honeybeeEncoder, type SceneDataset, type ScenesOptions, scenes } from "@waggle/data";
import { fresh } from "@waggle/mllm";
import { adamW, constant, conversations, cosine, ProgressLine, type Stage, stage, train } from "@waggle/train";
import { runs, TOKENIZER, tokenizer, weight } from "./base-parts.ts";
import { writeHoneybee } from "./honeybee-folder.ts";
import { withListings } from "./listings.ts";
import { miniComposition, sizes } from "./mini-model.ts";
import { renewUnsaid, type Saying, spelled } from "./visual-words.ts";

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

const encoder = honeybeeEncoder({ tokenizer });

/** Eight pictures a step: steps, not pictures, are what finding a word takes. */
const asked = (name: string, steps: number, data: (length: number) => Dataset) => ({
  ...{ ...common, name, steps, batchSize: 8 },
  data: conversations(data(steps * 8), { encoder, weight }),
});
/** The language model alone. The rate stays high, for long nothing is found at all; the words must not leave the visual tokens behind. */
const beside = {
  trainable: ["language"],
  schedule: constant({ warmup_steps: 50 }),
  optimizer: adamW({ ...adam, lr: 1.5e-3, groups: [{ parameters: embeddings, lr: 1e-4 }] }),
} as const;
const lists = ["things", "counts", "pairs", "nearest", "relations"] as const;
const thingsOnly = { plain: 1, varied: 1 };
const everyKind = { plain: 5, varied: 3, sign: 1, chart: 1 };
/** What takes long to learn is asked more often. */
const families = {
  ...{ color: 1, shape: 1, size: 0.6, texture: 0.4, exist: 2, count: 2.5, countall: 0.6, digits: 0.6, word: 0.6 },
  ...{ where: 0.8, rel: 2.5, near: 2, between: 0.8, box: 1, phrase: 0.5, tallest: 0.8, caption: 1.2 },
};
const few = { color: 1, shape: 1, size: 0.5, where: 1, exist: 1, count: 1, near: 0.5, rel: 0.5, caption: 1.5 };
const listed = { color: 0.7, shape: 0.7, size: 0.4, where: 0.6, exist: 2, count: 2, countall: 0.5, near: 1.5, rel: 2, caption: 0.3 };
const last = { ...families, size: 0.5, exist: 1.5, count: 2, countall: 0.5, where: 1, caption: 0.3 };

const stages: readonly Stage[] = [
  spell("words", "parts", 1, 900, 1.5e-3),
  spell("things", "things", 4, 400, 1e-3),
  stage({
    ...asked("look", 2500, (length) => withListings(drawn(3, length, { questions: 4, kinds: thingsOnly, families: few }), ["things"])),
    ...beside,
  }),
  stage({ ...asked("every", 1500, (length) => drawn(6, length, { questions: 8, kinds: everyKind, families })), ...beside }),
  stage({
    ...asked("list", 1000, (length) => withListings(drawn(7, length, { questions: 4, kinds: thingsOnly, families: listed }), lists, 3)),
    ...beside,
  }),
  stage({
    ...asked("answers", 6000, (length) => withListings(drawn(5, length, { questions: 6, kinds: everyKind, families: last }), lists, 2)),
    trainable: ["vision", "projector", "language"],
    schedule: cosine({ warmup_steps: 100, min_lr: 3e-5 }),
    optimizer: adamW({
      ...{ ...adam, lr: 1.5e-3 },
      groups: [
        { parameters: ["vision", "projector"], lr: 3e-4 },
        { parameters: embeddings, lr: 2e-4 },
      ],
    }),
  }),
];

const progress = new ProgressLine();
const composition = miniComposition();
let model = fresh(composition, { seed: 0 });
for (const stage of stages) {
  const table = new Map(composition.modules.namedParameters()).get(`${embeddings}.weight`);
  if (stage.name === "look" && table) renewUnsaid(table, tokenizer);
  const folder = join(out, stage.name);
  // a run that has ended is not opened again: what it wrote would be written anew, and the next run would take it for another model
  if (!existsSync(join(folder, "model")))
    await train({ model, stages: [stage], out: folder, resume: true, checkpointEvery: 200, onEvent: (event) => progress.write(event) });
  model = await composition.assemble(join(folder, "model"));
}
await writeHoneybee(join(out, "waggle-mini"), composition.modules, sizes, TOKENIZER);
