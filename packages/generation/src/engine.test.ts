import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { openCheckpoint } from "@waggle/checkpoint";
import { decoderGraph, type LanguageModel, llama } from "@waggle/language";
import { loadStateDict } from "@waggle/nn";
import { type Resident, Runtime, type Session } from "@waggle/runtime";
import { loadTokenizer, type Tokenizer } from "@waggle/text";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Engine, type EngineOptions } from "./engine.ts";
import { ContextLengthError, GenerationError } from "./generation-error.ts";
import type { GenerationOptions } from "./options.ts";

const folder = fileURLToPath(new URL("../../../golden/llama-tiny/", import.meta.url));
const json = (name: string) => JSON.parse(readFileSync(`${folder}${name}`, "utf8"));

interface Row {
  readonly options: GenerationOptions;
  readonly promptIds: readonly number[];
  readonly sequences: readonly (readonly number[])[];
  readonly scores?: readonly number[];
}
interface Case {
  readonly name: string;
  readonly max_new_tokens: number;
  readonly promptIds: readonly number[];
  readonly tokenIds: readonly number[];
  readonly text: string;
}
interface Distribution {
  readonly options: GenerationOptions;
  readonly top: readonly (readonly [id: number, probability: number])[];
}
const expected: {
  readonly cases: readonly Case[];
  readonly deterministicOptions: { readonly rows: readonly Row[] };
  readonly samplingDistributions: { readonly promptIds: readonly number[]; readonly rows: readonly Distribution[] };
} = json("expected.json");
const { eos_token_id } = json("generation_config.json");

let runtime: Runtime;
let session: Session;
let language: LanguageModel;
let tokenizer: Tokenizer;
let features: Resident;

beforeAll(async () => {
  language = llama(json("config.json"));
  loadStateDict(language, await openCheckpoint(folder));
  tokenizer = await loadTokenizer(folder);
  runtime = new Runtime({ threads: 1 });
  session = await runtime.compile(decoderGraph(language));
  features = await runtime.allocate("float32", [1, language.hidden_size]);
});
afterAll(() => runtime.dispose());

function engine(options: Partial<EngineOptions> = {}): Engine {
  return new Engine({ runtime, session, decoder: language, features: () => features, ...options });
}

function ask(on: Engine, promptIds: readonly number[], options: GenerationOptions = {}, signal?: AbortSignal) {
  return on.generate({ prompt: [promptIds], detokenizer: tokenizer, options: { eos_token_id, ...options }, signal });
}

describe("golden/llama-tiny", () => {
  test.each(expected.cases)("$name: greedy tokens and text", async ({ promptIds, tokenIds, text, max_new_tokens }) => {
    const result = await ask(engine(), promptIds, { max_new_tokens }).result;
    expect(result.tokenIds).toEqual(tokenIds);
    expect(result.text).toBe(text);
    expect(result.finishReason).toBe(tokenIds.at(-1) === 2 ? "stop" : "length");
    expect(result.usage).toEqual({ promptTokens: promptIds.length, completionTokens: tokenIds.length, cachedTokens: 0 });
  });

  test.each(expected.deterministicOptions.rows)("$options", async ({ options, promptIds, sequences, scores }) => {
    const result = await ask(engine(), promptIds, options).result;
    expect(result.tokenIds).toEqual(sequences[0]);
    expect(result.sequences?.map(({ tokenIds }) => tokenIds)).toEqual(scores && sequences);
    for (const [i, score] of (scores ?? []).entries()) expect(Math.abs((result.sequences?.[i]?.score ?? 0) - score)).toBeLessThan(1e-4);
  });

  test.each(expected.samplingDistributions.rows)("draws come from what is left of the distribution: $options", async ({ options, top }) => {
    const one = engine({ slots: 8 });
    const { promptIds } = expected.samplingDistributions;
    const draws = 60;
    const answers = Array.from({ length: draws }, (_, seed) => ask(one, promptIds, { ...options, seed, max_new_tokens: 1 }).result);
    const ids = (await Promise.all(answers)).map(({ tokenIds }) => tokenIds[0]);
    // 60 survivors are listed at most; where there are more, any other id may be drawn too.
    if (top.length < 60) for (const id of ids) expect(top.map(([known]) => known)).toContain(id);
    const [best] = top.reduce((a, b) => (b[1] > a[1] ? b : a));
    const p = top.find(([id]) => id === best)?.[1] ?? 0;
    const hits = ids.filter((id) => id === best).length;
    expect(Math.abs(hits - draws * p)).toBeLessThanOrEqual(4 * Math.sqrt(draws * p * (1 - p)) + 1e-9);
  });
});

describe("nobody's answer depends on the others", () => {
  const requests = [...expected.cases, ...expected.cases].map(({ promptIds }, i) => ({
    promptIds,
    options: { max_new_tokens: 12 + 3 * i, ...(i % 3 === 1 ? { do_sample: true, seed: i, temperature: 0.8 } : {}) },
  }));

  test.each([
    { slots: 1, chunk: 256 },
    { slots: 3, chunk: 7 },
    { slots: 12, chunk: 16 },
  ])("$slots slots, chunks of $chunk: same tokens as alone", async (options) => {
    const alone: (readonly number[])[] = [];
    for (const { promptIds, options } of requests) alone.push((await ask(engine(), promptIds, options).result).tokenIds);
    const shared = engine(options);
    const together = await Promise.all(requests.map(({ promptIds, options }) => ask(shared, promptIds, options).result));
    expect(together.map(({ tokenIds }) => tokenIds)).toEqual(alone);
  });

  test("requests that come while others are served, or any moment after, get the same too", async () => {
    const shared = engine({ slots: 2, chunk: 8 });
    const [first, second] = [requests[0], requests[2]];
    if (!first || !second) throw new Error("too few requests");
    const running = ask(shared, first.promptIds, { max_new_tokens: 40 });
    const later: Promise<readonly number[]>[] = [];
    let seen = 0;
    for await (const _ of running) {
      if (++seen % 9 === 0) later.push(ask(shared, second.promptIds, { max_new_tokens: 10 }).result.then(({ tokenIds }) => tokenIds));
    }
    const alone = (await ask(engine(), second.promptIds, { max_new_tokens: 10 }).result).tokenIds;
    for (const tokens of await Promise.all(later)) expect(tokens).toEqual(alone);
    expect((await running.result).tokenIds).toEqual((await ask(engine(), first.promptIds, { max_new_tokens: 40 }).result).tokenIds);
    for (let moment = 0; moment < 12; moment++) {
      for (let i = 0; i < moment; i++) await null;
      expect((await ask(shared, second.promptIds, { max_new_tokens: 1 }).result).tokenIds).toEqual(alone.slice(0, 1));
    }
  });
});

describe("the cache", () => {
  const [plain, , long] = expected.cases;
  if (!plain || !long) throw new Error("golden/llama-tiny has other cases than expected");

  test("a second turn computes only what is new, and answers as if nothing was cached", async () => {
    const one = engine();
    const first = await ask(one, long.promptIds, { max_new_tokens: 10 }).result;
    const next = [...long.promptIds, ...first.tokenIds, ...plain.promptIds];
    const second = await ask(one, next, { max_new_tokens: 10 }).result;
    // all of the first turn except its last token, which was never fed
    expect(second.usage.cachedTokens).toBe(long.promptIds.length + 9);
    expect(second.tokenIds).toEqual((await ask(engine(), next, { max_new_tokens: 10 }).result).tokenIds);
  });

  test("the same prompt again computes its last token only; another one nothing of it but the common beginning", async () => {
    const one = engine();
    const first = await ask(one, long.promptIds, { max_new_tokens: 4 }).result;
    const again = await ask(one, long.promptIds, { max_new_tokens: 4 }).result;
    expect(again.usage.cachedTokens).toBe(long.promptIds.length - 1);
    expect(again.tokenIds).toEqual(first.tokenIds);
    const other = await ask(one, plain.promptIds, { max_new_tokens: plain.tokenIds.length }).result;
    expect(other.usage.cachedTokens).toBe(1); // BOS
    expect(other.tokenIds).toEqual(plain.tokenIds);
  });

  test("grows with a long answer, and is given back for a short one, without changing either", async () => {
    const one = engine();
    const options = { max_new_tokens: 700, eos_token_id: [] };
    const steps: number[] = [];
    const answer = ask(one, plain.promptIds, options);
    for await (const { tokenId } of answer) steps.push(tokenId);
    expect(steps).toHaveLength(700);
    expect(steps.slice(0, plain.tokenIds.length)).toEqual(plain.tokenIds);
    // The whole sequence at once, without any cache: what the last token should be.
    const whole = await ask(engine({ chunk: 2000 }), [...plain.promptIds, ...steps.slice(0, -1)], { max_new_tokens: 1, eos_token_id: [] })
      .result;
    expect(whole.tokenIds).toEqual([steps.at(-1)]);
    const short = long.promptIds.slice(0, 20);
    const other = await ask(one, short, { max_new_tokens: 5 }).result;
    expect(other.usage.cachedTokens).toBe(0); // BOS is common to both, and not worth the room
    expect(other.tokenIds).toEqual((await ask(engine(), short, { max_new_tokens: 5 }).result).tokenIds);
  });
});

describe("an answer ends", () => {
  const [plain] = expected.cases;
  if (!plain) throw new Error("golden/llama-tiny has no cases");

  test("before a stop string, however its tokens are cut", async () => {
    // "��S�crma doing-f happy do happy …"
    for (const stop of ["happy", "a doing", "-f h", plain.text.slice(3, 6)]) {
      const stream = ask(engine(), plain.promptIds, { max_new_tokens: 24, stop_strings: [stop] });
      let shown = "";
      for await (const { text } of stream) shown += text;
      const { text, finishReason } = await stream.result;
      expect(text).toBe(plain.text.slice(0, plain.text.indexOf(stop)));
      expect(shown).toBe(text);
      expect(finishReason).toBe("stop");
    }
  });

  test("at any of several end tokens", async () => {
    const { tokenIds, finishReason } = await ask(engine(), plain.promptIds, { max_new_tokens: 24, eos_token_id: [2, 499, 411] }).result;
    expect([tokenIds.at(-1), finishReason]).toEqual([499, "stop"]);
  });

  test("at the last position of the model, with or without a length", async () => {
    const small = { ...shape(language), max_positions: 12 };
    const { tokenIds, finishReason } = await ask(engine({ decoder: small }), plain.promptIds).result;
    expect(tokenIds).toEqual(plain.tokenIds.slice(0, 12 - plain.promptIds.length));
    expect(finishReason).toBe("length");
  });

  test("when the reader leaves the loop: what there is", async () => {
    const stream = ask(engine(), plain.promptIds, { max_new_tokens: 500 });
    const seen: number[] = [];
    for await (const { tokenId } of stream) if (seen.push(tokenId) === 5) break;
    const { tokenIds, finishReason, usage } = await stream.result;
    expect(finishReason).toBe("abort");
    expect(tokenIds.slice(0, 5)).toEqual(seen);
    expect(usage.completionTokens).toBe(tokenIds.length);
  });

  test("when its signal fires, before, during and after: the reason is thrown, and others go on", async () => {
    const one = engine({ slots: 2 });
    const reason = new Error("enough");
    const before = ask(one, plain.promptIds, {}, AbortSignal.abort(reason));
    await expect(before.result).rejects.toBe(reason);
    const controller = new AbortController();
    const during = ask(one, plain.promptIds, { max_new_tokens: 500 }, controller.signal);
    const other = ask(one, plain.promptIds, { max_new_tokens: 24 });
    const seen: number[] = [];
    const reading = (async () => {
      for await (const { tokenId } of during) if (seen.push(tokenId) === 3) controller.abort(reason);
    })();
    await expect(reading).rejects.toBe(reason);
    await expect(during.result).rejects.toBe(reason);
    expect(seen).toEqual(plain.tokenIds.slice(0, seen.length));
    expect((await other.result).tokenIds).toEqual(plain.tokenIds);
    const late = new AbortController();
    const done = await ask(one, plain.promptIds, { max_new_tokens: 3 }, late.signal).result;
    late.abort(reason);
    expect(done.tokenIds).toEqual(plain.tokenIds.slice(0, 3));
  });
});

describe("what cannot be served is refused", () => {
  test("a prompt that fills the context, with both numbers", () => {
    const error = thrown(() => ask(engine({ decoder: { ...shape(language), max_positions: 7 } }), [1, 2, 3, 4, 5, 6, 7]));
    expect(error).toBeInstanceOf(ContextLengthError);
    expect(error).toMatchObject({ code: "context-length", promptTokens: 7, maxPositions: 7 });
  });

  test.each([
    ["no token", [], "the prompt is empty"],
    ["an id beyond the vocabulary", [1, 1000], "prompt position 1: expected a token id from 0 to 999, got 1000"],
    ["a negative id", [-1], "prompt position 0"],
  ])("%s", (_, ids, message) => {
    expect(() => ask(engine(), ids)).toThrow(message);
  });

  test("max_length that the prompt has used up", () => {
    expect(() => ask(engine(), [1, 2, 3], { max_length: 3 })).toThrow("max_length: 3 counts the prompt too, which has 3 tokens already");
  });

  test("options that forbid every token end that request only", async () => {
    const one = engine({ slots: 2 });
    const all = Array.from({ length: 1000 }, (_, id) => id);
    const bad = ask(one, [1], { suppress_tokens: all });
    const good = ask(one, [1], { max_new_tokens: 3 });
    await expect(bad.result).rejects.toMatchObject({ code: "scores" });
    expect((await good.result).tokenIds).toHaveLength(3);
  });

  test("a disposed engine: what runs ends, and nothing begins", async () => {
    const one = engine();
    const running = ask(one, [1], { max_new_tokens: 500 });
    one.dispose();
    await expect(running.result).rejects.toMatchObject({ code: "disposed" });
    expect(() => ask(one, [1])).toThrow(GenerationError);
  });

  test("a lost worker ends every request", async () => {
    const lost = new Runtime({ threads: 1 });
    const own = await lost.compile(decoderGraph(language));
    const rows = await lost.allocate("float32", [1, language.hidden_size]);
    const one = new Engine({ runtime: lost, session: own, decoder: language, features: () => rows });
    const running = ask(one, [1], { max_new_tokens: 500 });
    for await (const _ of running) break; // it has begun
    const second = ask(one, [1], { max_new_tokens: 500 });
    lost.dispose();
    await expect(second.result).rejects.toMatchObject({ code: "disposed" });
  });
});

/** The sizes alone: a spread module would lose its getters. */
function shape({ layers, kv_heads, head_dim, vocab_size, max_positions, keysDependOnLength }: LanguageModel) {
  return { layers, kv_heads, head_dim, vocab_size, max_positions, keysDependOnLength };
}

function thrown(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  return undefined;
}
