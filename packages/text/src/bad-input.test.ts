import { mkdir, mkdtemp, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadTokenizer } from "./load-tokenizer.ts";

const CASES = fileURLToPath(new URL("../../../golden/text-tokenizers/", import.meta.url));

let root = "";
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "waggle-tokenizer-"));
});
afterAll(() => rm(root, { recursive: true }));

let folders = 0;
async function folder(files: Readonly<Record<string, string | Uint8Array>>): Promise<string> {
  const path = join(root, String(folders++));
  await mkdir(path);
  for (const [name, content] of Object.entries(files)) await writeFile(join(path, name), content);
  return path;
}

describe("bad input", () => {
  const tokenizerJson = (change: object): string =>
    JSON.stringify({ added_tokens: [], model: { type: "BPE", vocab: { a: 0, b: 1, ab: 2 }, merges: ["a b"] }, ...change });
  const refusal = async (files: Readonly<Record<string, string | Uint8Array>>): Promise<unknown> => {
    const path = await folder(files);
    const error: unknown = await loadTokenizer(path).then(
      () => "loaded",
      (reason: unknown) => reason,
    );
    return error instanceof Error ? `${error.name}: ${error.message.replace(path, "FOLDER")}` : error;
  };

  test.each([
    ["no tokenizer", {}, "not_found"],
    ["broken JSON", { "tokenizer.json": '{"model":' }, "invalid_json"],
    ["a list", { "tokenizer.json": "[]" }, "expected an object, got a list of 0"],
    ["no model", { "tokenizer.json": "{}" }, "model: expected an object, got nothing"],
    [
      "an unknown model",
      { "tokenizer.json": '{"model": {"type": "Neural"}}' },
      'model.type: model "Neural" is not supported; supported: BPE, WordPiece, WordLevel, Unigram',
    ],
    [
      "an unknown normalizer",
      { "tokenizer.json": tokenizerJson({ normalizer: { type: "Sequence", normalizers: [{ type: "NFC" }, { type: "Magic" }] } }) },
      'normalizer.normalizers[1].type: normalizer "Magic"',
    ],
    [
      "an unknown pre-tokenizer",
      { "tokenizer.json": tokenizerJson({ pre_tokenizer: { type: "UnicodeScripts" } }) },
      'pre_tokenizer.type: pre-tokenizer "UnicodeScripts" is not supported',
    ],
    [
      "an unknown post-processor",
      { "tokenizer.json": tokenizerJson({ post_processor: { type: "X" } }) },
      'post_processor.type: post-processor "X" is not supported',
    ],
    ["an unknown decoder", { "tokenizer.json": tokenizerJson({ decoder: { type: "X" } }) }, 'decoder.type: decoder "X" is not supported'],
    [
      "a merge of an unknown token",
      { "tokenizer.json": tokenizerJson({ model: { type: "BPE", vocab: { a: 0, b: 1, ab: 2 }, merges: ["a b", "a z"] } }) },
      'model.merges[1]: token "z" is not in the vocabulary',
    ],
    [
      "a merge of three",
      { "tokenizer.json": tokenizerJson({ model: { type: "BPE", vocab: { a: 0 }, merges: ["a a a"] } }) },
      "model.merges[0]: expected two tokens",
    ],
    [
      "a negative id",
      { "tokenizer.json": tokenizerJson({ model: { type: "BPE", vocab: { a: -1 }, merges: [] } }) },
      "model.vocab.a: expected a token id from 0 to 16777215, got -1",
    ],
    [
      "an id of four billion",
      { "tokenizer.json": tokenizerJson({ model: { type: "BPE", vocab: { a: 4e9 }, merges: [] } }) },
      "model.vocab.a: expected a token id",
    ],
    [
      "an id twice",
      { "tokenizer.json": tokenizerJson({ model: { type: "BPE", vocab: { a: 1, b: 1 }, merges: [] } }) },
      'model.vocab.b: id 1 belongs to "a" and "b"',
    ],
    [
      "a vocabulary that is a list",
      { "tokenizer.json": tokenizerJson({ model: { type: "BPE", vocab: [], merges: [] } }) },
      "model.vocab: expected an object, got a list of 0",
    ],
    [
      "merges that are no list",
      { "tokenizer.json": tokenizerJson({ model: { type: "BPE", vocab: { a: 0 }, merges: 3 } }) },
      "model.merges: expected a list, got 3",
    ],
    [
      "dropout",
      { "tokenizer.json": tokenizerJson({ model: { type: "BPE", dropout: 0.1, vocab: { a: 0 }, merges: [] } }) },
      "model.dropout: dropout makes encoding random",
    ],
    [
      "an added token that contradicts the model",
      { "tokenizer.json": tokenizerJson({ added_tokens: [{ id: 7, content: "a" }] }) },
      'added_tokens[0]: added token "a" has id 7, but the model gives it 0',
    ],
    [
      "an added token on another's id",
      { "tokenizer.json": tokenizerJson({ added_tokens: [{ id: 0, content: "x" }] }) },
      'added_tokens[0]: added token "x" has id 0, which is "a"\'s in the model',
    ],
    [
      "a side file that contradicts the model",
      { "tokenizer.json": tokenizerJson({}), "added_tokens.json": '{"a": 9}' },
      'added token "a" has id 9, but the model gives it 0',
    ],
    [
      "a pattern that is none",
      { "tokenizer.json": tokenizerJson({ pre_tokenizer: { type: "Split", pattern: { Regex: "(" }, behavior: "Removed" } }) },
      "pre_tokenizer.pattern.Regex: cannot translate the pattern",
    ],
    [
      "a behavior that is none",
      { "tokenizer.json": tokenizerJson({ pre_tokenizer: { type: "Split", pattern: { String: "a" }, behavior: "Gone" } }) },
      "pre_tokenizer.behavior: expected one of Removed, Isolated",
    ],
    [
      "a template without its token",
      {
        "tokenizer.json": tokenizerJson({
          post_processor: { type: "TemplateProcessing", single: [{ SpecialToken: { id: "X" } }], special_tokens: {} },
        }),
      },
      'single[0].SpecialToken.id: special_tokens has no entry "X"',
    ],
    [
      "a character map that is none",
      { "tokenizer.json": tokenizerJson({ normalizer: { type: "Precompiled", precompiled_charsmap: "AAAA" } }) },
      "normalizer.precompiled_charsmap: expected a precompiled character map",
    ],
    [
      "a unigram piece without score",
      { "tokenizer.json": tokenizerJson({ model: { type: "Unigram", vocab: [["a", 0], ["b"]] } }) },
      "model.vocab[1]: expected [piece, score], got a list of 1",
    ],
    [
      "an unknown id out of range",
      { "tokenizer.json": tokenizerJson({ model: { type: "Unigram", unk_id: 5, vocab: [["a", 0]] } }) },
      "model.unk_id: the unknown token's id 5 is not below the vocabulary's size 1",
    ],
    [
      "an unknown token that is not there",
      { "tokenizer.json": tokenizerJson({ model: { type: "BPE", unk_token: "<unk>", vocab: { a: 0 }, merges: [] } }) },
      "model.unk_token: the unknown token",
    ],
    [
      "a flag that is a word",
      { "tokenizer.json": tokenizerJson({}), "tokenizer_config.json": '{"legacy": "yes"}' },
      'legacy: expected true or false, got "yes"',
    ],
    ["an empty SentencePiece model", { "tokenizer.model": "" }, "pieces: expected 1 to 16777215 pieces, got 0"],
    [
      "text instead of a SentencePiece model",
      { "tokenizer.model": "version https://git-lfs.github.com/spec/v1\n" },
      "not a SentencePiece model, or cut short",
    ],
    [
      "a class over SentencePiece that we do not know",
      { "tokenizer.model": "", "tokenizer_config.json": '{"tokenizer_class": "XLNetTokenizer"}' },
      "tokenizer_config.json: tokenizer_class: tokenizer class XLNetTokenizer",
    ],
    [
      "a class over merges that we do not know",
      { "vocab.json": "{}", "merges.txt": "", "tokenizer_config.json": '{"tokenizer_class": "FSMTTokenizer"}' },
      "tokenizer_class: tokenizer class FSMTTokenizer",
    ],
    ["a word list without [CLS]", { "vocab.txt": "a\nb\n" }, 'the special token "[CLS]" is not in the vocabulary'],
  ] as const)("%s", async (_, files, expected) => {
    const path = await folder(files);
    const error: unknown = await loadTokenizer(path).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ name: "TokenizerError" });
    const { code, message } = error as { code: string; message: string };
    expect(`${code} ${message}`).toContain(expected);
    expect(message).toContain(path);
  });

  test("sequences nested without end", async () => {
    let normalizer: object = { type: "NFC" };
    for (let i = 0; i < 50; i++) normalizer = { type: "Sequence", normalizers: [normalizer] };
    expect(await refusal({ "tokenizer.json": tokenizerJson({ normalizer }) })).toContain("sequences are nested deeper than 16");
  });

  test("a million merges of unknown tokens are refused at the first", async () => {
    const merges = Array.from({ length: 1_000_000 }, (_, i) => `x${i} y`);
    expect(await refusal({ "tokenizer.json": tokenizerJson({ model: { type: "BPE", vocab: { a: 0 }, merges } }) })).toMatchInlineSnapshot(
      `"TokenizerError: FOLDER/tokenizer.json: model.merges[0]: token "x0" is not in the vocabulary"`,
    );
  });

  test("a SentencePiece model cut anywhere, or with a wrong byte, is refused or read, never a crash", async () => {
    const model = await readFile(`${CASES}llama-sentencepiece/tokenizer.model`);
    let refused = 0;
    for (let i = 0; i < 150; i++) {
      const bytes = Buffer.from(model);
      const at = Math.floor((i * model.length) / 150);
      if (i % 2 === 0) bytes[at] = (bytes[at] ?? 0) ^ (1 << (i % 8));
      const path = await folder({ "tokenizer.model": bytes });
      if (i % 2 === 1) await truncate(join(path, "tokenizer.model"), at);
      const outcome: unknown = await loadTokenizer(path).then(
        (tokenizer) => tokenizer.encode("Hello world"),
        (error: unknown) => error,
      );
      if (outcome instanceof Error) {
        expect(outcome.name).toBe("TokenizerError");
        refused++;
      } else expect(Array.isArray(outcome)).toBe(true);
    }
    expect(refused).toBeGreaterThan(50);
  }, 60_000);

  test("options and ids", async () => {
    const path = `${CASES}llama-fast`;
    await expect(loadTokenizer(path, { fast: true } as object)).rejects.toThrowErrorMatchingInlineSnapshot(
      `[TokenizerError: loadTokenizer: unknown option fast; known: files, legacy, specialTokens.]`,
    );
    await expect(loadTokenizer(path, { files: "spm" } as object)).rejects.toThrowError(expect.objectContaining({ code: "invalid_option" }));
    await expect(loadTokenizer(path, { specialTokens: { end: "x" } } as object)).rejects.toThrowError(
      expect.objectContaining({ code: "invalid_option" }),
    );
    const tokenizer = await loadTokenizer(path);
    expect(() => tokenizer.encode("a", { addSpecial: true } as object)).toThrowError(expect.objectContaining({ code: "invalid_option" }));
    expect(() => tokenizer.stream({ skip: true } as object)).toThrowError(expect.objectContaining({ code: "invalid_option" }));
    expect(() => tokenizer.decode([1, -200])).toThrowErrorMatchingInlineSnapshot(
      `[TokenizerError: decode: expected token ids (whole numbers from 0), got -200.]`,
    );
    expect(() => tokenizer.decode([1.5])).toThrowError(expect.objectContaining({ code: "invalid_ids" }));
    expect(tokenizer.decode([260, 999_999])).toBe("a"); // padded rows of an embedding table may be sampled
    expect(tokenizer.decode([])).toBe("");
  });

  test("a text the vocabulary cannot spell", async () => {
    const wordLevel = { added_tokens: [], model: { type: "WordLevel", unk_token: "<unk>", vocab: { a: 0 } } };
    const tokenizer = await loadTokenizer(await folder({ "tokenizer.json": JSON.stringify(wordLevel) }));
    expect(() => tokenizer.encode("b")).toThrowError(expect.objectContaining({ code: "missing_unknown" }));
  });

  test("a folder that is a file", async () => {
    await expect(loadTokenizer(`${CASES}strings.json`)).rejects.toThrowError(expect.objectContaining({ code: "not_found" }));
  });
});
