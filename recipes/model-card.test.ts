/** On a Honeybee of waggle-mini's shape with random weights. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { llama } from "@waggle/language";
import { pictures } from "@waggle/mini";
import { compose, fresh, honeybeePrompt, image, load } from "@waggle/mllm";
import { cAbstractor } from "@waggle/projectors";
import { loadTokenizer } from "@waggle/text";
import { clip } from "@waggle/vision";
import { afterAll, beforeAll, expect, test } from "vitest";
import { cardText } from "./card-text.ts";
import { writeHoneybee } from "./honeybee-folder.ts";
import { type ModelCard, measure, notBetter } from "./model-card.ts";
import { curveSvg, readCurve } from "./training-curve.ts";

const other = fileURLToPath(new URL("../golden/waggle-scenes", import.meta.url));
const vision = { image_size: 96, patch_size: 8, hidden_size: 32, intermediate_size: 64, num_hidden_layers: 2, num_attention_heads: 4 };
const text = {
  ...{ vocab_size: 512, hidden_size: 48, intermediate_size: 96, num_hidden_layers: 2, num_attention_heads: 4 },
  ...{ max_position_embeddings: 512, tie_word_embeddings: true },
};
const projector = { num_queries: 36, feature_layer_index: -1, depth: 1 };

let temporary: string;
let folder: string;
beforeAll(async () => {
  temporary = mkdtempSync(join(tmpdir(), "waggle-card-"));
  folder = join(temporary, "model");
  const tokenizer = await loadTokenizer(other);
  const parts = { vision: clip(vision, { layer: -1 }), projector: cAbstractor({ tokens: 36, depth: 1 }), language: llama(text) };
  const { composition } = fresh(compose({ ...parts, prompt: honeybeePrompt, tokenizer }), { seed: 0 });
  if (!composition) throw new Error("expected one that sees");
  await writeHoneybee(folder, composition.modules, { vision, text, projector }, other);
});
afterAll(() => rmSync(temporary, { recursive: true }));

test("the folder is a Honeybee that loads and answers", async () => {
  using model = await load(folder);
  const { usage } = await model.generate([{ role: "user", content: [image(pictures[0].path), "Describe the picture."] }], {
    max_new_tokens: 2,
  });
  expect(usage.imageTokens).toBe(36);
});

test("a card of a model that knows nothing says so, beside one that does", { timeout: 120_000 }, async () => {
  const card = await measure(folder, { questions: 30, other, featureCache: join(temporary, "features") });
  expect([card.test, card.composition, card.plain].map(({ asked, right }) => [asked, right])).toEqual([
    [30, 0],
    [30, 0],
    [30, 0],
  ]);
  expect(card.other.right).toBeGreaterThan(15);
  expect(card.model.tokensPerImage).toBe(36);
  const page = cardText(card, { curve: "training.svg" });
  expect(page).toContain("(0 / 30)");
  expect(page).toContain("](training.svg)");
  expect(page).toContain(`every family but ${notBetter(card).join(", ")}`);
});

test("families in which both are alike are no better", () => {
  const of = (right: number): ModelCard["plain"] => ({
    ...{ asked: 8, right, boxes: null, confusions: [] },
    families: [
      { family: "color", asked: 4, right: 4, textOnly: 1 },
      { family: "rel", asked: 4, right: right - 4, textOnly: 2 },
    ],
  });
  expect(notBetter({ plain: of(8), other: of(6) })).not.toContain("rel");
  expect(notBetter({ plain: of(8), other: of(6) })).toContain("color");
});

test("the curve of two runs is one picture, with every stage in it", async () => {
  const lines = (stage: string, count: number, loss: number) =>
    Array.from({ length: count }, (_, i) => JSON.stringify({ step: i + 1, stage, loss: loss / (i + 1) })).join("\n");
  writeFileSync(join(temporary, "a.jsonl"), `${lines("words", 700, 6)}\n${lines("answers & boxes", 20, 1)}\n`);
  writeFileSync(join(temporary, "b.jsonl"), `${lines("more", 5, 0.5)}\n`);
  const points = await readCurve([join(temporary, "a.jsonl"), join(temporary, "b.jsonl")]);
  expect(points.length).toBeLessThan(300);
  expect(points[0]).toEqual({ stage: "words", step: 3, loss: (6 + 3 + 2) / 3 });
  expect(points.at(-1)?.step).toBe(725);
  const svg = curveSvg(points);
  for (const name of ["words", "answers &amp; boxes", "more"]) expect(svg).toContain(`>${name}</text>`);
});
