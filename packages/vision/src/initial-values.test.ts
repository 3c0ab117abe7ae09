/** New weights as transformers (CLIP) and the authors (EVA) make them (reference/nn/init_stats.py). */
import { readFileSync } from "node:fs";
import { test } from "vitest";
import { expectInitialValues, type InitialFacts } from "../../../testing/initial-values.ts";
import { clip, eva } from "./index.ts";

type Case = { readonly config: object; readonly facts: InitialFacts };
const vectors: { readonly clip: readonly Case[]; readonly eva: readonly Case[] } = JSON.parse(
  readFileSync(new URL("./__vectors__/initial-values.json", import.meta.url), "utf8"),
);

test.each(vectors.clip)("clip, case %#", ({ config, facts }) => {
  expectInitialValues(clip(config, { layer: -1 }), facts, /post_layernorm/); // a norm for classifying, which no features pass
});

test("a tower that ends before its last layer begins like the whole one", () => {
  for (const { config, facts } of vectors.clip.slice(0, 1))
    expectInitialValues(clip(config, { layer: -2 }), facts, /post_layernorm|layers\\\.2/);
});

test.each(vectors.eva)("eva, case %#", ({ config, facts }) => {
  expectInitialValues(eva(config), facts);
});
