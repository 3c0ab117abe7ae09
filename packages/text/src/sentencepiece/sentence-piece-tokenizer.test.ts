import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { loadTokenizer } from "../load-tokenizer.ts";
import type { Tokenizer } from "../tokenizer.ts";
import { LLAMA } from "./families.ts";
import { parseModelFile } from "./model-file.ts";
import { SentencePieceProcessor } from "./processor.ts";

const GOLDEN = fileURLToPath(new URL("../../../../golden/text-tokenizers/", import.meta.url));
const VECTORS = fileURLToPath(new URL("../__vectors__/", import.meta.url));
const read = (path: string): unknown => JSON.parse(readFileSync(path, "utf8"));
const strings = read(`${GOLDEN}strings.json`) as readonly string[];

/** What a stream gives, joined, has to be what decode gives. */
function streamed(tokenizer: Tokenizer, ids: readonly number[], skipSpecialTokens: boolean): string {
  const stream = tokenizer.stream({ skipSpecialTokens });
  return ids.map((id) => stream.push(id)).join("") + stream.end();
}

interface LlamaRow {
  readonly legacy: number[];
  readonly nonLegacy?: number[];
  readonly spm?: number[];
  readonly legacyDecoded: string;
  readonly legacyDecodedSkipSpecial: string;
  readonly nonLegacyDecoded?: string;
  readonly nonLegacyDecodedSkipSpecial?: string;
}

describe("LlamaTokenizer over the golden strings", async () => {
  const { rows } = read(`${GOLDEN}llama-sentencepiece/expected.json`) as { rows: readonly LlamaRow[] };
  const cases = rows.map((row, i) => ({ ...row, text: strings[i] ?? "" }));
  const folder = `${GOLDEN}llama-sentencepiece`;
  const legacy = await loadTokenizer(folder, { legacy: true });
  const modern = await loadTokenizer(folder, { legacy: false });

  test("ids, legacy and not", () => {
    expect(cases.map(({ text }) => [text, legacy.encode(text)])).toEqual(cases.map((row) => [row.text, row.legacy]));
    expect(cases.map(({ text }) => [text, modern.encode(text)])).toEqual(cases.map((row) => [row.text, row.nonLegacy ?? row.legacy]));
  });

  test("texts, legacy", () => {
    expect(cases.map((row) => legacy.decode(row.legacy))).toEqual(cases.map((row) => row.legacyDecoded));
    const skip = { skipSpecialTokens: true };
    expect(cases.map((row) => legacy.decode(row.legacy, skip))).toEqual(cases.map((row) => row.legacyDecodedSkipSpecial));
  });

  test("texts, not legacy", () => {
    const ids = cases.map((row) => row.nonLegacy ?? row.legacy);
    expect(ids.map((row) => modern.decode(row))).toEqual(cases.map((row) => row.nonLegacyDecoded ?? row.legacyDecoded));
    expect(ids.map((row) => modern.decode(row, { skipSpecialTokens: true }))).toEqual(
      cases.map((row) => row.nonLegacyDecodedSkipSpecial ?? row.legacyDecodedSkipSpecial),
    );
  });

  test.each([
    ["legacy", legacy],
    ["not legacy", modern],
  ])("streams join to the decoded text, %s", (_, tokenizer) => {
    for (const skip of [true, false]) {
      expect(cases.map((row) => streamed(tokenizer, row.legacy, skip))).toEqual(
        cases.map((row) => tokenizer.decode(row.legacy, { skipSpecialTokens: skip })),
      );
    }
  });

  test("the bare processor", () => {
    const processor = new SentencePieceProcessor(parseModelFile(readFileSync(`${folder}/tokenizer.model`), "tokenizer.model"));
    expect(cases.map(({ text }) => processor.encode(text).map((piece) => processor.pieceId(piece)))).toEqual(
      cases.map((row) => row.spm ?? row.legacy.slice(1)),
    );
  });

  test("is a llama where no class is named", () => expect(LLAMA.roles.bos).toBe(legacy.token(legacy.special.bos ?? -1)));
});

describe("T5Tokenizer over the golden strings", async () => {
  const { rows } = read(`${GOLDEN}t5-unigram/expected.json`) as {
    rows: readonly { readonly ids: number[]; readonly slowIds?: number[] }[];
  };
  const tokenizer = await loadTokenizer(`${GOLDEN}t5-unigram`, { files: "sentencepiece" });

  test("ids", () => {
    expect(rows.map((_, i) => [strings[i], tokenizer.encode(strings[i] ?? "")])).toEqual(
      rows.map(({ ids, slowIds }, i) => [strings[i], slowIds ?? ids]),
    );
  });

  test("streams join to the decoded text", () => {
    for (const skip of [true, false]) {
      expect(rows.map(({ ids }) => streamed(tokenizer, ids, skip))).toEqual(
        rows.map(({ ids }) => tokenizer.decode(ids, { skipSpecialTokens: skip })),
      );
    }
  });
});

describe("the published models' own tokenizers", async () => {
  const honeybee = read(`${VECTORS}honeybee/expected.json`) as {
    readonly plain: readonly { readonly text: string; readonly ids: number[]; readonly ids_with_bos: number[]; readonly decoded: string }[];
    readonly decode: readonly { readonly ids: number[]; readonly decoded_skip: string; readonly decoded_all: string }[];
    readonly runs: readonly { readonly tokens: number[][]; readonly text: string[]; readonly text_with_special_tokens: string[] }[];
  };
  const bee = await loadTokenizer(`${VECTORS}honeybee`);
  const llava = await loadTokenizer(`${VECTORS}llava-original`);
  const { cases } = read(`${VECTORS}llava-original/expected.json`) as {
    readonly cases: readonly { readonly tokenIds: number[]; readonly text: string; readonly rawText: string }[];
  };

  test("Honeybee: texts", () => {
    expect(honeybee.plain.map(({ text }) => bee.encode(text))).toEqual(honeybee.plain.map((row) => row.ids_with_bos));
    expect(honeybee.plain.map(({ text }) => bee.encode(text, { addSpecialTokens: false }))).toEqual(honeybee.plain.map((row) => row.ids));
    expect(honeybee.plain.map(({ ids }) => bee.decode(ids, { skipSpecialTokens: true }))).toEqual(honeybee.plain.map((row) => row.decoded));
    expect(honeybee.decode.map(({ ids }) => bee.decode(ids, { skipSpecialTokens: true }))).toEqual(
      honeybee.decode.map((row) => row.decoded_skip),
    );
    expect(honeybee.decode.map(({ ids }) => bee.decode(ids))).toEqual(honeybee.decode.map((row) => row.decoded_all));
  });

  test("Honeybee: answers of random weights, bytes in any order", () => {
    const runs = honeybee.runs.flatMap((run) =>
      run.tokens.map((ids, i) => ({ ids, text: run.text[i], all: run.text_with_special_tokens[i] })),
    );
    expect(runs.length).toBeGreaterThan(5);
    expect(runs.map(({ ids }) => bee.decode(ids, { skipSpecialTokens: true }))).toEqual(runs.map(({ text }) => text));
    expect(runs.map(({ ids }) => bee.decode(ids))).toEqual(runs.map(({ all }) => all));
    expect(runs.map(({ ids }) => streamed(bee, ids, true))).toEqual(runs.map(({ text }) => text));
  });

  test("LLaVA: answers of random weights", () => {
    expect(cases.map(({ tokenIds }) => llava.decode(tokenIds))).toEqual(cases.map(({ rawText }) => rawText));
    expect(cases.map(({ tokenIds }) => streamed(llava, tokenIds, false))).toEqual(cases.map(({ rawText }) => rawText));
    expect(cases.map(({ tokenIds }) => llava.decode(tokenIds, { skipSpecialTokens: true }).trim())).toEqual(cases.map(({ text }) => text));
  });
});
