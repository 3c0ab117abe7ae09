import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { llamaTokenizerJson } from "../index.ts";

const cases = fileURLToPath(new URL("../../../../golden/text-tokenizers/", import.meta.url));

test.each([
  ["llama-fast", true],
  ["llama-fast-metaspace", false],
])("is the file that transformers makes of the same model: %s", async (name, legacy) => {
  const folder = mkdtempSync(join(tmpdir(), "waggle-pipeline-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  copyFileSync(join(cases, "llama-sentencepiece/tokenizer.model"), join(folder, "tokenizer.model"));
  writeFileSync(join(folder, "tokenizer_config.json"), JSON.stringify({ tokenizer_class: "LlamaTokenizer", legacy }));
  expect(await llamaTokenizerJson(folder)).toEqual(JSON.parse(readFileSync(join(cases, name, "tokenizer.json"), "utf8")));
});

test("null where there is no such model", async () => {
  expect(await llamaTokenizerJson(join(cases, "llama-fast"))).toBeNull();
  expect(await llamaTokenizerJson(join(cases, "t5-unigram"))).toBeNull();
});
