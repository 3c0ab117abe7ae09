import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { JsonEntry } from "../json-entry.ts";
import { parsePipeline } from "./parse-pipeline.ts";

const GOLDEN = new URL("../../../../golden/text-tokenizers/", import.meta.url);
const FOLDERS = ["llama-fast", "llama-fast-metaspace", "gpt2-bytelevel", "bert-wordpiece", "t5-unigram", "clip"] as const;

interface Row {
  readonly ids: number[];
  readonly noSpecialIds?: number[];
  readonly decoded?: string;
  readonly decodedSkipSpecial: string;
  readonly classDecodedSkipSpecial?: string;
  readonly stream?: string[];
  readonly streamTail?: string;
}

function json(path: string): JsonEntry {
  return JsonEntry.parse(readFileSync(new URL(path, GOLDEN), "utf8"), path);
}

const strings = json("strings.json").value as readonly string[];

describe.each(FOLDERS)("%s", (folder) => {
  const rows = json(`${folder}/expected.json`).at("rows").value as readonly Row[];
  const tokenizer = parsePipeline(json(`${folder}/tokenizer.json`), {
    config: json(`${folder}/tokenizer_config.json`),
    specialTokensMap: json(`${folder}/special_tokens_map.json`),
    addedTokens: null,
  });
  const cases = rows.map((row, i) => ({ ...row, text: strings[i] ?? "" }));

  test("has a row for every string", () => expect(rows).toHaveLength(strings.length));

  test("encodes as the reference", () => {
    expect(cases.map(({ text }) => [text, tokenizer.encode(text)])).toEqual(cases.map(({ text, ids }) => [text, ids]));
  });

  test("encodes without special tokens", () => {
    expect(cases.map(({ text }) => [text, tokenizer.encode(text, { addSpecialTokens: false })])).toEqual(
      cases.map(({ text, ids, noSpecialIds }) => [text, noSpecialIds ?? ids]),
    );
  });

  test("decodes as the reference", () => {
    expect(cases.map(({ ids }) => tokenizer.decode(ids))).toEqual(cases.map((row) => row.decoded ?? row.decodedSkipSpecial));
    expect(cases.map(({ ids }) => tokenizer.decode(ids, { skipSpecialTokens: true }))).toEqual(cases.map((row) => row.decodedSkipSpecial));
  });

  test("finishes the text as the transformers class", () => {
    const options = { skipSpecialTokens: true, cleanUp: true };
    expect(cases.map(({ ids }) => tokenizer.decode(ids, options))).toEqual(
      cases.map((row) => row.classDecodedSkipSpecial ?? row.decodedSkipSpecial),
    );
  });

  test("streams as the reference, piece by piece", () => {
    const streamed = cases.map(({ ids }) => {
      const stream = tokenizer.stream({ skipSpecialTokens: true });
      return { stream: ids.map((id) => stream.push(id)), tail: stream.end() };
    });
    expect(streamed).toEqual(cases.map((row) => ({ stream: row.stream, tail: row.streamTail ?? "" })));
  });
});
