import { readFileSync } from "node:fs";
import { copyFile, mkdir, mkdtemp, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadTokenizer } from "./load-tokenizer.ts";

const GOLDEN = fileURLToPath(new URL("../../../golden/", import.meta.url));
const VECTORS = fileURLToPath(new URL("./__vectors__/", import.meta.url));
const CASES = `${GOLDEN}text-tokenizers/`;
const strings = JSON.parse(readFileSync(`${CASES}strings.json`, "utf8")) as readonly string[];

interface Row {
  readonly ids: number[];
  readonly decodedSkipSpecial: string;
  readonly decoded?: string;
}

const rowsOf = (name: string): readonly Row[] =>
  (JSON.parse(readFileSync(`${CASES}${name}/expected.json`, "utf8")) as { rows: Row[] }).rows;

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

async function copyOf(source: string, names: readonly string[]): Promise<string> {
  const path = await folder({});
  for (const name of names) await copyFile(join(source, name), join(path, name));
  return path;
}

describe("every file set that models are published with", () => {
  test.each([
    ["gpt2-bytelevel", ["vocab.json", "merges.txt", "tokenizer_config.json"]],
    ["gpt2-bytelevel", ["vocab.json", "merges.txt"]],
    ["clip", ["vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json"]],
    ["clip", ["vocab.json", "merges.txt"]],
    ["bert-wordpiece", ["vocab.txt", "tokenizer_config.json"]],
    ["bert-wordpiece", ["vocab.txt"]],
    ["llama-fast", ["tokenizer.json"]],
  ] as const)("%s from %j", async (name, files) => {
    const tokenizer = await loadTokenizer(await copyOf(`${CASES}${name}`, files));
    const rows = rowsOf(name);
    expect(strings.map((text) => tokenizer.encode(text))).toEqual(rows.map(({ ids }) => ids));
    expect(rows.map(({ ids }) => tokenizer.decode(ids))).toEqual(rows.map((row) => row.decoded ?? row.decodedSkipSpecial));
    expect(rows.map(({ ids }) => tokenizer.decode(ids, { skipSpecialTokens: true }))).toEqual(rows.map((row) => row.decodedSkipSpecial));
  });

  test("OPT: GPT-2's files with a beginning token", async () => {
    const config = JSON.stringify({
      tokenizer_class: "GPT2Tokenizer",
      add_bos_token: true,
      bos_token: "</s>",
      eos_token: "</s>",
      pad_token: "<pad>",
    });
    const vocab = JSON.stringify({ "<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, a: 4, b: 5, ab: 6, Ġ: 7 });
    const tokenizer = await loadTokenizer(
      await folder({ "vocab.json": vocab, "merges.txt": "#version: 0.2\na b\n", "tokenizer_config.json": config }),
    );
    expect(tokenizer.encode("ab a")).toEqual([2, 6, 7, 4]);
    expect(tokenizer.special).toEqual({ bos: 2, eos: 2, pad: 1, unk: undefined });
    expect(tokenizer.decode([2, 6, 7, 4], { skipSpecialTokens: true })).toBe("ab a");
  });

  test("RoBERTa", async () => {
    const config = JSON.stringify({ tokenizer_class: "RobertaTokenizer" });
    const vocab = JSON.stringify({ "<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "<mask>": 4, a: 5 });
    const tokenizer = await loadTokenizer(
      await folder({ "vocab.json": vocab, "merges.txt": "#version: 0.2\n", "tokenizer_config.json": config }),
    );
    expect(tokenizer.encode("a<mask>")).toEqual([0, 5, 4, 2]);
  });

  test("the SentencePiece model first, if asked", async () => {
    const byJson = await loadTokenizer(`${GOLDEN}llama-tiny`);
    const byModel = await loadTokenizer(`${GOLDEN}llama-tiny`, { files: "sentencepiece", legacy: true });
    expect(byModel.encode("a</s>b")).toEqual(byJson.encode("a</s>b"));
    const modern = await loadTokenizer(`${GOLDEN}llama-tiny`, { files: "sentencepiece" }); // its config says legacy: false
    expect(modern.encode("a</s>b")).not.toEqual(byJson.encode("a</s>b"));
  });
});

describe("what the side files say", () => {
  test("special ids and the size", async () => {
    const llava = await loadTokenizer(`${GOLDEN}llava-tiny-hf`);
    expect(llava.special).toEqual({ bos: 1, eos: 2, pad: 1001, unk: 0 });
    expect(llava.size).toBe(1002); // len(tokenizer) in the golden case
    expect(llava.tokenId("<image>")).toBe(1000);
    expect(llava.token(1000)).toBe("<image>");
    expect(llava.tokenId("no such token")).toBeUndefined();
  });

  test("the answers of llava-tiny-hf", async () => {
    const { cases } = JSON.parse(readFileSync(`${GOLDEN}llava-tiny-hf/expected.json`, "utf8")) as {
      readonly cases: readonly { readonly tokenIds: number[]; readonly text: string }[];
    };
    const llava = await loadTokenizer(`${GOLDEN}llava-tiny-hf`);
    expect(cases.map(({ tokenIds }) => llava.decode(tokenIds, { skipSpecialTokens: true }))).toEqual(cases.map(({ text }) => text));
  });

  const small = {
    added_tokens: [],
    model: { type: "WordLevel", vocab: { "<unk>": 0, a: 1, "</s>": 2 }, unk_token: "<unk>" },
    pre_tokenizer: { type: "WhitespaceSplit" },
  };

  test("added_tokens_decoder and added_tokens.json add what tokenizer.json lacks", async () => {
    const path = await folder({
      "tokenizer.json": JSON.stringify(small),
      "tokenizer_config.json": JSON.stringify({ added_tokens_decoder: { 3: { content: "<image>", special: true } }, eos_token: "</s>" }),
      "added_tokens.json": JSON.stringify({ "<box>": 4, "<image>": 3 }),
    });
    const tokenizer = await loadTokenizer(path);
    expect(tokenizer.encode("a<image>a<box></s>")).toEqual([1, 3, 1, 4, 2]);
    expect(tokenizer.decode([1, 3, 4, 2], { skipSpecialTokens: true })).toBe("a <box>");
    expect(tokenizer.size).toBe(5);
  });

  test("a special token that no file gives an id is left out", async () => {
    const tokenizer = await loadTokenizer(
      await folder({ "tokenizer.json": JSON.stringify(small), "tokenizer_config.json": '{"pad_token": "<pad>"}' }),
    );
    expect(tokenizer.special.pad).toBeUndefined();
    expect(tokenizer.encode("<pad>")).toEqual([0]);
  });

  test("special tokens may be chosen: MiniGPT-4 pads with $$, which decoding then skips", async () => {
    const { cleanup } = JSON.parse(readFileSync(`${VECTORS}minigpt4/expected.json`, "utf8")) as {
      cleanup: { ids: number[]; decoded: string }[];
    };
    const tokenizer = await loadTokenizer(`${VECTORS}minigpt4`, { specialTokens: { pad: "$$" } });
    expect(tokenizer.special.pad).toBe(509);
    const outer = (text: string): string => text.trim(); // the case says that outer spaces may differ
    expect(cleanup.map(({ ids }) => outer(tokenizer.decode(ids, { skipSpecialTokens: true })))).toEqual(
      cleanup.map(({ decoded }) => outer(decoded)),
    );
  });
});

describe("streams of any ids", () => {
  test.each(["llama-fast", "gpt2-bytelevel", "bert-wordpiece", "t5-unigram", "clip"])(
    "%s: joined, they are the decoded text",
    async (name) => {
      const tokenizer = await loadTokenizer(`${CASES}${name}`);
      let seed = 7;
      const random = (below: number): number => {
        seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff;
        return seed % below;
      };
      for (let n = 0; n < 200; n++) {
        const ids = Array.from({ length: random(20) }, () => random(tokenizer.size));
        const stream = tokenizer.stream({ skipSpecialTokens: n % 2 === 0 });
        const pieces = [...ids.map((id) => stream.push(id)), stream.end()];
        // a byte run that only later proves not to be UTF-8 is the one thing that a stream cannot foresee: see README
        const whole = tokenizer.decode(ids, { skipSpecialTokens: n % 2 === 0 });
        if (name !== "llama-fast" || !whole.includes("\ufffd")) expect(pieces.join("")).toBe(whole);
        for (const piece of pieces.slice(0, -1)) expect(piece.endsWith("\ufffd")).toBe(false);
      }
    },
  );
});

describe("long input", () => {
  test("a word of 100,000 characters takes no quadratic time", async () => {
    for (const name of ["llama-fast", "gpt2-bytelevel", "t5-unigram"]) {
      const tokenizer = await loadTokenizer(`${CASES}${name}`);
      const before = process.cpuUsage();
      const ids = tokenizer.encode("pneumonoultra".repeat(8000));
      const { user } = process.cpuUsage(before);
      expect(ids.length).toBeGreaterThan(10_000);
      expect(user / 1000).toBeLessThan(5000); // milliseconds; 5·10⁹ steps would take far longer
    }
  });
});

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
