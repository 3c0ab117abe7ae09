/** What a request may ask of its rules and of its end, on golden/llama-tiny. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { openCheckpoint } from "@waggle/checkpoint";
import { decoderGraph, llama } from "@waggle/language";
import { loadStateDict } from "@waggle/nn";
import { Runtime } from "@waggle/runtime";
import { loadTokenizer, type Tokenizer } from "@waggle/text";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Engine } from "./engine.ts";
import type { GenerationResult } from "./generation-stream.ts";
import type { GenerationOptions } from "./options.ts";

const folder = fileURLToPath(new URL("../../../golden/llama-tiny/", import.meta.url));
const json = (name: string) => JSON.parse(readFileSync(`${folder}${name}`, "utf8"));
const plain = json("expected.json").cases[0] as { readonly promptIds: readonly number[]; readonly tokenIds: readonly number[] };
const [first] = plain.tokenIds as [number];

let runtime: Runtime;
let engine: Engine;
let tokenizer: Tokenizer;

beforeAll(async () => {
  const language = llama(json("config.json"));
  loadStateDict(language, await openCheckpoint(folder));
  tokenizer = await loadTokenizer(folder);
  runtime = new Runtime({ threads: 1 });
  const features = await runtime.allocate("float32", [1, language.hidden_size]);
  engine = new Engine({ runtime, session: await runtime.compile(decoderGraph(language)), decoder: language, features: () => features });
});
afterAll(() => runtime.dispose());

function ask(options: GenerationOptions, visiblePrompt?: readonly number[]): Promise<GenerationResult> {
  return engine.generate({ prompt: [plain.promptIds], detokenizer: tokenizer, options, visiblePrompt }).result;
}

describe("what the rules see of the prompt", () => {
  const answer = async (visible: readonly number[] | undefined, options: GenerationOptions) =>
    (await ask({ max_new_tokens: 6, ...options }, visible)).tokenIds;

  test("all of it, nothing, or what is said", async () => {
    const once = { no_repeat_ngram_size: 1 };
    const known = new Set(plain.promptIds);
    expect((await answer(undefined, once)).filter((id) => known.has(id))).toEqual([]);
    expect((await answer([], once))[0]).toBe(first);
    expect((await answer([first], once))[0]).not.toBe(first);
  });

  test("lengths count the prompt all the same", async () => {
    const [prompt, [end = 0]] = [plain.promptIds.length, await answer([], {})];
    expect(await answer([], { eos_token_id: end })).toEqual([end]);
    expect(await answer([], { eos_token_id: end, min_length: prompt })).toEqual([end]);
    expect(await answer([], { eos_token_id: end, min_length: prompt + 1 })).not.toContain(end);
    expect(await answer([], { max_new_tokens: null, max_length: prompt + 3, forced_eos_token_id: 7 })).toHaveLength(3);
    expect((await answer([], { max_new_tokens: null, max_length: prompt + 3, forced_eos_token_id: 7 }))[2]).toBe(7);
  });
});

describe("stop words", () => {
  test("an answer that ends in one is over, and keeps it", async () => {
    const word = plain.tokenIds.slice(2, 5);
    const result = await ask({ max_new_tokens: 24, stop_words_ids: [[...word, 1], word] });
    expect(result.tokenIds).toEqual(plain.tokenIds.slice(0, 5));
    expect(result.finishReason).toBe("stop");
    // The prompt's end does not count.
    const longer = { max_new_tokens: 2, stop_words_ids: [[...plain.promptIds.slice(-1), ...plain.tokenIds.slice(0, 1)]] };
    expect((await ask(longer)).tokenIds).toEqual(plain.tokenIds.slice(0, 2));
  });
});
