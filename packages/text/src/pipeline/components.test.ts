import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { JsonEntry } from "../json-entry.ts";
import { parseDecoder } from "./decoders.ts";
import { parseNormalizer } from "./normalizers.ts";
import { parsePipeline } from "./parse-pipeline.ts";
import { parsePreTokenizer } from "./pre-tokenizers.ts";

// reference/text/pipelines.py: every component of tokenizer.json, alone and together, over golden and random strings
const read = (path: string): string => readFileSync(new URL(path, import.meta.url), "utf8");
const t5 = JSON.parse(read("../../../../golden/text-tokenizers/t5-unigram/tokenizer.json")) as {
  readonly normalizer: { readonly normalizers: readonly { readonly precompiled_charsmap?: string }[] };
};
const characterMap = t5.normalizer.normalizers[0]?.precompiled_charsmap; // 240 kB: not copied

interface Row {
  readonly ids: number[] | null; // null: the reference threw or panicked
  readonly plain: number[];
  readonly decoded: string;
  readonly skipped: string;
}

const vectors = JSON.parse(read("../__vectors__/pipelines.json"), (_, value: unknown) => (value === "@t5" ? characterMap : value)) as {
  readonly strings: readonly string[];
  readonly small: readonly string[];
  readonly tokenLists: readonly (readonly string[])[];
  readonly normalizers: readonly { readonly normalizer: object; readonly results: string[] }[];
  readonly preTokenizers: readonly { readonly preTokenizer: object; readonly results: string[][] }[];
  readonly decoders: readonly { readonly decoder: object; readonly results: string[] }[];
  readonly pipelines: Readonly<Record<string, { readonly tokenizer: object; readonly rows: readonly Row[] }>>;
};
const { strings, small, tokenLists } = vectors;
const entry = (value: object): JsonEntry => new JsonEntry("tokenizer.json", "part", value);
const title = (part: object): string => JSON.stringify(part).slice(0, 110);

describe("normalizers", () => {
  test.each(vectors.normalizers.map((row) => ({ ...row, title: title(row.normalizer) })))("$title", ({ normalizer, results }) => {
    const { normalize } = parseNormalizer(entry(normalizer));
    expect(strings.map((text) => [text, normalize(text)])).toEqual(strings.map((text, i) => [text, results[i]]));
  });
});

describe("pre-tokenizers", () => {
  test.each(vectors.preTokenizers.map((row) => ({ ...row, title: title(row.preTokenizer) })))("$title", ({ preTokenizer, results }) => {
    const cut = parsePreTokenizer(entry(preTokenizer));
    const pieces = strings.map((text) => cut({ text, first: true }).map((piece) => piece.text));
    expect(pieces.map((row, i) => [strings[i], row])).toEqual(results.map((row, i) => [strings[i], row]));
  });
});

describe("decoders", () => {
  test.each(vectors.decoders.map((row) => ({ ...row, title: title(row.decoder) })))("$title", ({ decoder, results }) => {
    const decode = parseDecoder(entry(decoder));
    const texts = tokenLists.map((tokens) => {
      const run = decode(false);
      return [...tokens.flatMap((token) => run.push(token)), ...run.end()].join("");
    });
    expect(texts.map((text, i) => [tokenLists[i], text])).toEqual(results.map((text, i) => [tokenLists[i], text]));
  });
});

describe("pipelines", () => {
  test.each(Object.entries(vectors.pipelines))("%s", (_, { tokenizer: description, rows }) => {
    const tokenizer = parsePipeline(new JsonEntry("tokenizer.json", "", description));
    expect(rows.length).toBe(small.length);
    for (const [i, row] of rows.entries()) {
      const text = small[i] ?? "";
      const { ids } = row;
      if (ids === null) {
        expect(() => tokenizer.encode(text)).toThrowError(expect.objectContaining({ name: "TokenizerError" }));
        continue;
      }
      expect([text, tokenizer.encode(text)]).toEqual([text, ids]);
      expect(tokenizer.encode(text, { addSpecialTokens: false })).toEqual(row.plain);
      expect(tokenizer.decode(ids)).toBe(row.decoded);
      expect(tokenizer.decode(ids, { skipSpecialTokens: true })).toBe(row.skipped);
      const stream = tokenizer.stream();
      expect(ids.map((id) => stream.push(id)).join("") + stream.end()).toBe(row.decoded);
    }
  });
});
