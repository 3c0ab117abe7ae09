import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { parseModelFile } from "./model-file.ts";
import { pieceDecoder } from "./piece-decoder.ts";
import { SentencePieceProcessor } from "./processor.ts";

// reference/text/sentencepieces.py: BPE and unigram, with byte fallback, user-defined, control and unused pieces, spaces kept or
// collapsed, a space before, behind or nowhere
const VECTORS = fileURLToPath(new URL("../__vectors__/sentencepiece/", import.meta.url));

interface Expected {
  readonly pieces: string[][];
  readonly ids: number[][];
  readonly decoded: string[];
  readonly randomIds: number[][];
  readonly randomDecoded: string[];
}

const { strings, models } = JSON.parse(readFileSync(`${VECTORS}expected.json`, "utf8")) as {
  readonly strings: readonly string[];
  readonly models: Readonly<Record<string, Expected>>;
};

describe.each(Object.entries(models))("%s, as sentencepiece 0.2.1", (name, expected) => {
  const model = parseModelFile(readFileSync(`${VECTORS}${name}.model`), `${name}.model`);
  const processor = new SentencePieceProcessor(model);
  const decode = (ids: readonly number[]): string => {
    const run = pieceDecoder(model);
    return [...ids.flatMap((id) => run.push(model.vocabulary.token(id) ?? "")), ...run.end()].join("");
  };

  test("pieces and ids", () => {
    const pieces = strings.map((text) => processor.encode(text));
    expect(pieces.map((row, i) => [strings[i], row])).toEqual(expected.pieces.map((row, i) => [strings[i], row]));
    expect(pieces.map((row) => row.map((piece) => processor.pieceId(piece)))).toEqual(expected.ids);
  });

  test("texts, of encodings and of random ids", () => {
    expect(expected.ids.map(decode)).toEqual(expected.decoded);
    expect(expected.randomIds.map(decode)).toEqual(expected.randomDecoded);
  });
});
