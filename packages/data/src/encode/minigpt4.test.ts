import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { image } from "@waggle/image";
import { loadTokenizer, type Tokenizer } from "@waggle/text";
import { beforeAll, describe, expect, test } from "vitest";
import { IGNORE, IMAGE, type Sample } from "../sample.ts";
import { miniGpt4Encoder, miniGpt4Instructions, miniGpt4Prompt } from "./minigpt4.ts";

const golden = (name: string): string => fileURLToPath(new URL(`../../../../golden/${name}`, import.meta.url));
const read = <T>(name: string): T => JSON.parse(readFileSync(golden(name), "utf8")) as T;

interface Training {
  readonly captions: readonly string[];
  readonly end_sym: string;
  readonly max_txt_len: number;
  readonly prompt: string | null;
  readonly caption_ids: readonly (readonly number[])[];
}

interface Runs {
  readonly train_stage1: Training;
  readonly train_stage2: Training;
  readonly batch_generate: { readonly texts: readonly string[]; readonly segments: readonly (readonly (readonly number[])[])[] };
}

const { runs } = read<{ readonly runs: Runs }>("minigpt4-tiny/expected.json");
const { prompts } = read<{
  readonly prompts: {
    readonly templates: Readonly<Record<string, string>>;
    readonly vicuna: readonly { readonly text: string; readonly sha256: string }[];
    readonly "llama-2": readonly { readonly text: string; readonly sha256: string }[];
  };
}>("data-minigpt4/expected.json");

const VICUNA = "###Human: {} ###Assistant: ";
const PADDING = 509; // `$$`

let tokenizer: Tokenizer;
beforeAll(async () => {
  tokenizer = await loadTokenizer(golden("minigpt4-tiny/llm"));
});

const captioned = (question: string, caption: string): Sample => ({
  id: "s",
  images: [image("picture.png")],
  conversations: [
    { from: "human", value: question },
    { from: "gpt", value: caption },
  ],
});

const masked = (ids: readonly number[]): number[] => ids.map((id) => (id === PADDING ? IGNORE : id));

test("stage 1: BOS, the picture, the caption", () => {
  const { captions, end_sym, max_txt_len, caption_ids } = runs.train_stage1;
  const encoder = miniGpt4Encoder({ tokenizer, end_sym, max_txt_len });
  for (const [i, caption] of captions.entries()) {
    const ids = caption_ids[i] ?? [];
    const { input_ids, labels } = encoder.encode(captioned("<image>", caption), [3]);
    expect(input_ids).toEqual([1, IMAGE, IMAGE, IMAGE, ...ids]);
    expect(labels).toEqual([IGNORE, IGNORE, IGNORE, IGNORE, ...masked(ids)]);
    expect(miniGpt4Encoder({ tokenizer }).encode(captioned("<image>", caption), [3])).toEqual({ input_ids, labels });
  }
});

test("stage 2: the question around the picture", () => {
  const { captions, end_sym, max_txt_len, prompt, caption_ids } = runs.train_stage2;
  const encoder = miniGpt4Encoder({ tokenizer, end_sym, max_txt_len, prompt_template: VICUNA });
  expect(miniGpt4Prompt(VICUNA, miniGpt4Instructions[0] ?? "").replace("<image>", "<ImageHere>")).toBe(prompt);
  for (const [i, caption] of captions.entries()) {
    const ids = caption_ids[i] ?? [];
    const { input_ids, labels } = encoder.encode(captioned(miniGpt4Instructions[0] ?? "", caption), [2]);
    expect(input_ids.slice(-ids.length)).toEqual(ids);
    expect(labels).toEqual([...Array.from({ length: input_ids.length - ids.length }, () => IGNORE), ...masked(ids)]);
  }
});

test("the pieces around the picture are tokenized as the official code does", () => {
  const encoder = miniGpt4Encoder({ tokenizer, prompt_template: VICUNA, end_sym: "###" });
  for (const [i, text] of runs.batch_generate.texts.entries()) {
    const [before = [], after = []] = runs.batch_generate.segments[i] ?? [];
    const question = text.slice("###Human: <Img><ImageHere></Img> ".length, -" ###Assistant: ".length);
    const { input_ids } = encoder.encode(captioned(`<image>\n${question}`, "A bee."), [1]);
    expect(input_ids.slice(0, before.length + 1 + after.length)).toEqual([...before, IMAGE, ...after]);
  }
});

describe("the official prompts", () => {
  test.each(["vicuna", "llama-2"] as const)("%s", (name) => {
    const texts = miniGpt4Instructions.map((line) => miniGpt4Prompt(prompts.templates[name] ?? "", line).replace("<image>", "<ImageHere>"));
    expect(texts).toEqual(prompts[name].map(({ text }) => text));
    expect(texts.map((text) => createHash("sha256").update(text).digest("hex"))).toEqual(prompts[name].map(({ sha256 }) => sha256));
  });
});

test("the target is cut at max_txt_len, its end with it", () => {
  const { input_ids } = miniGpt4Encoder({ tokenizer, max_txt_len: 4 }).encode(
    captioned("<image>", runs.train_stage1.captions[1] ?? ""),
    [1],
  );
  expect(input_ids).toEqual([1, IMAGE, ...(runs.train_stage1.caption_ids[1] ?? []).slice(0, 4)]);
});

test("more than one answer, no picture to show, wrong options", () => {
  const encoder = miniGpt4Encoder({ tokenizer, prompt_template: VICUNA });
  const one = captioned("<image>", "a");
  expect(() => encoder.encode({ ...one, conversations: [...one.conversations, ...one.conversations] }, [1])).toThrow(
    "found human, gpt, human, gpt.",
  );
  expect(() => encoder.encode(captioned("What?", "a"), [1])).toThrow("shows 0 pictures");
  const wrong = { tokenizer, prompt_template: "###Human: ", max_txt_len: -1, endSym: "" };
  expect(() => miniGpt4Encoder(wrong)).toThrowErrorMatchingInlineSnapshot(`
    [DataError: miniGpt4Encoder: endSym: is not an option. There are: tokenizer, prompt_template, end_sym, max_txt_len.
      prompt_template: expected "" or a text with {} in it, got "###Human: ".
      max_txt_len: expected a whole number from 1, got -1.]
  `);
});
