import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { loadTokenizer } from "../load-tokenizer.ts";
import { expandedPromptIds, expandPlaceholders, honeybeePromptIds, splitPromptIds } from "./image-ids.ts";
import { countPlaceholders } from "./messages.ts";

const GOLDEN = fileURLToPath(new URL("../../../../golden/", import.meta.url));
const VECTORS = fileURLToPath(new URL("../__vectors__/", import.meta.url));
const read = <Content>(path: string): Content => JSON.parse(readFileSync(path, "utf8")) as Content;

describe("expandedPromptIds, as Hugging Face's processor", async () => {
  const tokenizer = await loadTokenizer(`${GOLDEN}llava-tiny-hf`);
  const { cases, dims } = read<{
    readonly cases: readonly { readonly prompt: string; readonly promptIds: number[] }[];
    readonly dims: { readonly tokensPerImage: number };
  }>(`${GOLDEN}llava-tiny-hf/expected.json`);

  test("the prompts of llava-tiny-hf", () => {
    const ids = cases.map(({ prompt }) => {
      const imageTokens = Array.from({ length: countPlaceholders(prompt) }, () => dims.tokensPerImage);
      return expandedPromptIds(tokenizer, prompt, { imageTokens });
    });
    expect(ids).toEqual(cases.map(({ promptIds }) => promptIds));
  });

  test("puts no second BOS before a text that has one", () => {
    const [withBos, without] = ["<s>USER: hi", "USER: hi"].map((text) => expandedPromptIds(tokenizer, text, { imageTokens: [] }));
    expect(withBos?.filter((id) => id === 1)).toHaveLength(1);
    expect(without?.[0]).toBe(1);
    expect(expandedPromptIds(tokenizer, "USER: hi", { imageTokens: [], addSpecialTokens: false })[0]).not.toBe(1);
  });

  test("pictures may differ in size", () => {
    expect(expandPlaceholders("a<image>b<image>", { imageTokens: [1, 3] })).toBe("a<image>b<image><image><image>");
  });

  test("says both numbers where placeholders and pictures do not match", () => {
    expect(() => expandedPromptIds(tokenizer, "<image> and <image>", { imageTokens: [16] })).toThrowErrorMatchingInlineSnapshot(
      `[PromptError: the text has 2 image placeholders (<image>) for 1 picture. Give a picture for each, or take the placeholder out.]`,
    );
    expect(() => splitPromptIds(tokenizer, "no picture", { imageTokens: [1, 1, 1] })).toThrowErrorMatchingInlineSnapshot(
      `[PromptError: the text has 0 image placeholders (<image>) for 3 pictures. Write <image> where each picture belongs.]`,
    );
    expect(() => honeybeePromptIds(tokenizer, "<image>", { imageTokens: [] })).toThrowError(
      expect.objectContaining({ code: "images", placeholders: 1, pictures: 0 }),
    );
  });

  test("refuses a placeholder that is no token, and impossible sizes", () => {
    expect(() => expandedPromptIds(tokenizer, "<|pic|>", { imageTokens: [2], placeholder: "<|pic|>" })).toThrowError(
      expect.objectContaining({ code: "tokenizer" }),
    );
    expect(() => expandPlaceholders("<image>", { imageTokens: [0.5] })).toThrowError(expect.objectContaining({ code: "invalid_option" }));
  });
});

describe("splitPromptIds", async () => {
  const llava = await loadTokenizer(`${VECTORS}llava-original`);
  const { cases, templates } = read<{
    readonly cases: readonly { readonly prompt: string; readonly promptIds: number[] }[];
    readonly templates: readonly { readonly prompt?: string; readonly ids?: number[] }[];
  }>(`${VECTORS}llava-original/expected.json`);

  test("LLaVA's prompts: -200 for each picture", () => {
    const rows = [...cases.map(({ prompt, promptIds }) => ({ prompt, ids: promptIds })), ...templates].flatMap(({ prompt, ids }) =>
      prompt === undefined || ids === undefined ? [] : [{ prompt, ids }],
    );
    expect(rows.length).toBeGreaterThan(50);
    const ids = rows.map(({ prompt }) =>
      splitPromptIds(llava, prompt, { imageTokens: Array.from({ length: countPlaceholders(prompt) }, () => 1) }),
    );
    expect(ids).toEqual(rows.map((row) => row.ids));
  });

  test("MiniGPT-4's segments, BOS only on the first", async () => {
    const { runs } = read<{ readonly runs: Readonly<Record<string, { readonly prompt: string; readonly segments: number[][] }>> }>(
      `${VECTORS}minigpt4/expected.json`,
    );
    const tokenizer = await loadTokenizer(`${VECTORS}minigpt4`);
    const rows = Object.values(runs);
    expect(rows.length).toBeGreaterThan(8);
    for (const { prompt, segments } of rows) {
      const imageTokens = segments.slice(1).map(() => 3);
      const expected = segments.flatMap((segment, i) => (i === 0 ? segment : [-7, -7, -7, ...segment]));
      expect(splitPromptIds(tokenizer, prompt, { imageTokens, imageTokenId: -7, placeholder: "<ImageHere>" })).toEqual(expected);
    }
  });
});

describe("honeybeePromptIds", async () => {
  interface Encoded {
    readonly input_ids: number[];
    readonly labels: number[];
  }
  const tokenizer = await loadTokenizer(`${VECTORS}honeybee`);
  const { imageTokens, tokenization } = read<{
    readonly imageTokens: number;
    readonly tokenization: readonly {
      readonly prompt: string;
      readonly head: Encoded;
      readonly head_no_eos: Encoded;
      readonly head_max_length_40: Encoded;
      readonly old: { readonly input_ids: number[] };
    }[];
  }>(`${VECTORS}honeybee/expected.json`);
  const rows = tokenization.map((row) => ({
    ...row,
    imageTokens: Array.from({ length: countPlaceholders(row.prompt) }, () => imageTokens),
  }));
  const pick = ({ input_ids, labels }: Encoded): { ids: number[]; labels: number[] } => ({ ids: input_ids, labels });

  test("split at the roles, for training and for answering", () => {
    expect(rows.map((row) => honeybeePromptIds(tokenizer, row.prompt, { imageTokens: row.imageTokens, endOfText: true }))).toEqual(
      rows.map((row) => pick(row.head)),
    );
    expect(rows.map((row) => honeybeePromptIds(tokenizer, row.prompt, { imageTokens: row.imageTokens }))).toEqual(
      rows.map((row) => pick(row.head_no_eos)),
    );
  });

  test("cut to a length", () => {
    const options = { endOfText: true, maxLength: 40 };
    expect(rows.map((row) => honeybeePromptIds(tokenizer, row.prompt, { imageTokens: row.imageTokens, ...options }))).toEqual(
      rows.map((row) => pick(row.head_max_length_40)),
    );
  });

  test("split at pictures only, as in December 2023", () => {
    expect(rows.map((row) => honeybeePromptIds(tokenizer, row.prompt, { imageTokens: row.imageTokens, splitAt: "pictures" }).ids)).toEqual(
      rows.map((row) => row.old.input_ids),
    );
  });
});
