import { readFileSync } from "node:fs";
import { image, load, type MultimodalModel } from "@waggle/mllm";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { mini, pictures } from "./index.ts";

interface Case {
  readonly name: string;
  readonly image: string;
  readonly question: string;
  readonly prompt: string;
  readonly max_new_tokens: number;
  readonly tokenIds: readonly number[];
  readonly text: string;
}
const { cases }: { readonly cases: readonly Case[] } = JSON.parse(
  readFileSync(new URL("./__vectors__/expected.json", import.meta.url), "utf8"),
);

describe("the answers of the reference implementation", () => {
  let model: MultimodalModel;
  beforeAll(async () => {
    model = await load(mini);
  });
  afterAll(() => model.dispose());

  test.each(cases)("$name", async ({ image: file, question, max_new_tokens, tokenIds, text }) => {
    const path = pictures.find(({ name }) => file === `${name}.png`)?.path ?? file;
    const answer = await model.generate([{ role: "user", content: [image(path), question] }], { max_new_tokens });
    expect(answer.tokenIds).toEqual(tokenIds);
    expect(answer.text).toBe(text);
  });
});
