/** A small trained model, answer by answer: the tokens of transformers' greedy decoding on every question of golden/waggle-scenes. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { image, load, type MultimodalModel } from "./index.ts";

interface Case {
  readonly name: string;
  readonly image: string;
  readonly question: string;
  readonly max_new_tokens: number;
  readonly tokenIds: readonly number[];
  readonly text: string;
}
const folder = fileURLToPath(new URL("../../../golden/waggle-scenes/", import.meta.url));
const { cases }: { readonly cases: readonly Case[] } = JSON.parse(readFileSync(join(folder, "expected.json"), "utf8"));

let model: MultimodalModel;
beforeAll(async () => {
  model = await load(folder);
});
afterAll(() => model.dispose());

test.each(cases)("$name", async ({ image: file, question, max_new_tokens, tokenIds, text }) => {
  const answer = await model.generate([{ role: "user", content: [image(join(folder, file)), question] }], { max_new_tokens });
  expect(answer.tokenIds).toEqual(tokenIds);
  expect(answer.text).toBe(text);
});
