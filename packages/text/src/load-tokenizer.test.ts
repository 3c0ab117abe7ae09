import { readFileSync } from "node:fs";
import { copyFile, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
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
