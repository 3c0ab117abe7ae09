/** Beam searches of transformers, newest and as authors pinned it, on golden/llama-tiny. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { openCheckpoint } from "@waggle/checkpoint";
import { decoderGraph, type LanguageModel, llama } from "@waggle/language";
import { loadStateDict } from "@waggle/nn";
import { type Resident, Runtime, type Session } from "@waggle/runtime";
import { loadTokenizer, type Tokenizer } from "@waggle/text";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Engine, type EngineOptions } from "../engine.ts";
import type { GenerationResult } from "../generation-stream.ts";
import type { GenerationOptions } from "../options.ts";
import { type Semantics, semantics } from "../semantics.ts";

interface Row {
  readonly promptIds: readonly number[];
  readonly embedded: boolean;
  readonly options: GenerationOptions;
  readonly sequences: readonly (readonly number[])[];
  readonly scores: readonly number[];
}

const folder = fileURLToPath(new URL("../../../../golden/llama-tiny/", import.meta.url));
const json = (url: URL | string) => JSON.parse(readFileSync(url, "utf8"));
const rowsOf = (release: string): readonly Row[] => json(new URL(`./__vectors__/${release}.json`, import.meta.url)).rows;
const newest = rowsOf("newest");

let runtime: Runtime;
let session: Session;
let language: LanguageModel;
let tokenizer: Tokenizer;
let features: Resident;

beforeAll(async () => {
  language = llama(json(`${folder}config.json`));
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

/** What the rules see of a prompt that is embeddings: nothing, or the BOS that older releases put there. */
const stead: Readonly<Record<Semantics, readonly number[]>> = { newest: [], "4.38": [], "4.36": [1], "4.30": [1] };

function ask(on: Engine, { promptIds, embedded, options }: Pick<Row, "promptIds" | "embedded" | "options">, release: Semantics = "newest") {
  const visiblePrompt = embedded ? stead[release] : undefined;
  return on.generate({ prompt: [promptIds], detokenizer: tokenizer, options: { ...options, semantics: release }, visiblePrompt });
}

function check({ sequences = [], ...best }: GenerationResult, row: Row): void {
  expect(sequences.map(({ tokenIds }) => tokenIds)).toEqual(row.sequences);
  for (const [i, score] of row.scores.entries()) {
    expect(Math.abs((sequences[i]?.score ?? Number.NaN) - score)).toBeLessThan(1e-4 + 1e-5 * Math.abs(score));
  }
  const [first] = sequences;
  expect({ ...first, score: 0 }).toEqual({ text: best.text, tokenIds: best.tokenIds, finishReason: best.finishReason, score: 0 });
  const eos = [row.options.eos_token_id ?? []].flat();
  const stops = [row.options.stop_strings ?? []].flat();
  for (const { tokenIds, finishReason, text } of sequences) {
    const whole = tokenizer.decode(tokenIds, { skipSpecialTokens: true });
    const end = Math.min(...stops.map((stop) => whole.indexOf(stop)).filter((at) => at >= 0));
    expect(finishReason).toBe(eos.includes(tokenIds.at(-1) ?? -1) || end < Infinity ? "stop" : "length");
    expect(text).toBe(whole.slice(0, end));
  }
}

describe.each(Object.keys(semantics) as Semantics[])("random cases, transformers %s", (release) => {
  test("they cover what they should", () => {
    const rows = rowsOf(release);
    const some = (has: (row: Row) => boolean) => expect(rows.filter(has).length).toBeGreaterThan(2);
    for (const stop of [true, false, "never"]) some(({ options }) => options.early_stopping === stop);
    for (const penalty of [-1, 0, 0.5, 1, 2]) some(({ options }) => options.length_penalty === penalty);
    for (const beams of [2, 3, 4, 5]) some(({ options }) => options.num_beams === beams);
    some(({ embedded, options }) => embedded && options.max_length !== undefined);
    some(({ sequences }) => new Set(sequences.map(({ length }) => length)).size > 1);
    if (release === "newest") some(({ options }) => options.stop_strings !== undefined);
    if (release !== "4.30") some(({ options }) => options.do_sample === true);
  });

  test.each(rowsOf(release))("$options.num_beams beams, $options", async (row) => {
    check(await ask(engine(), row, release).result, row);
  });
});

describe("beams beside others", () => {
  test.each([
    { slots: 1, chunk: 256 },
    { slots: 5, chunk: 4 },
    { slots: 16, chunk: 3 },
  ])("$slots slots, chunks of $chunk: everybody gets what it gets alone", async (options) => {
    const shared = engine(options);
    const single = { promptIds: [1, 267, 495, 648], embedded: false, options: { max_new_tokens: 30, eos_token_id: [] } };
    const alone = await ask(engine(), single).result;
    const singles = newest.map((_, i) => (i % 4 === 0 ? ask(shared, single) : null));
    const together = await Promise.all(newest.map((row) => ask(shared, row).result));
    for (const [i, row] of newest.entries()) check(together[i] as GenerationResult, row);
    for (const one of singles) if (one) expect((await one.result).tokenIds).toEqual(alone.tokenIds);
  });
});

describe("an answer ends", () => {
  const promptIds = [1, 267, 495, 648, 631, 455, 263];
  const options = { num_beams: 3, max_new_tokens: 12, eos_token_id: [] };
  const request = { promptIds, embedded: false, options };

  test.each(Object.keys(semantics) as Semantics[])("at a stop word when all beams end in it, semantics %s", async (release) => {
    const bias: GenerationOptions = { sequence_bias: [[[9], 100]], num_return_sequences: 2, num_beams: 2 };
    const stop = (word: readonly number[]) =>
      ask(engine(), { ...request, options: { ...options, ...bias, stop_words_ids: [word] } }, release).result;
    const { sequences = [] } = await stop([9]);
    // The first step makes two different beams; they go on until the same step adds the same token to both.
    const [one = [], other = []] = sequences.map(({ tokenIds }) => tokenIds);
    expect(one).not.toEqual(other);
    expect([one.length, one.at(-1), other.at(-1)]).toEqual([other.length, 9, 9]);
    expect(sequences.map(({ finishReason }) => finishReason)).toEqual(["stop", "stop"]);
    expect(one.length).toBeLessThan(12);
    expect((await stop([8])).tokenIds).toHaveLength(12);
  });

  test("all tokens come at the end, the text with the last of them", async () => {
    const stream = ask(engine(), request);
    const events: { readonly tokenId: number; readonly text: string }[] = [];
    for await (const event of stream) events.push(event);
    const { tokenIds, text } = await stream.result;
    expect(events).toEqual(tokenIds.map((tokenId, i) => ({ tokenId, text: i === tokenIds.length - 1 ? text : "" })));
  });

  test("when it is stopped: with the best there is, and the signal's reason is thrown", async () => {
    const one = engine();
    const long = { ...request, options: { ...options, max_new_tokens: 1500 } };
    const stopped = ask(one, long);
    const aborted = new AbortController();
    const reason = new Error("enough");
    const order = one.generate({ prompt: [promptIds], detokenizer: tokenizer, options: long.options, signal: aborted.signal });
    setTimeout(() => stopped.stop(), 60);
    const { tokenIds, finishReason, sequences } = await stopped.result;
    expect(finishReason).toBe("abort");
    expect(sequences).toHaveLength(1);
    expect(tokenIds.length).toBeLessThan(1500);
    setTimeout(() => aborted.abort(reason), 60);
    await expect(order.result).rejects.toBe(reason);
    const neverBegun = ask(one, long);
    neverBegun.stop();
    expect(await neverBegun.result).toMatchObject({ tokenIds: [], text: "", finishReason: "abort" });
    expect((await ask(one, request).result).tokenIds).toEqual((await ask(engine(), request).result).tokenIds);
  });

  test("with the context", async () => {
    const { layers, kv_heads, head_dim, vocab_size, keysDependOnLength } = language;
    const decoder = { layers, kv_heads, head_dim, vocab_size, keysDependOnLength, max_positions: 10 };
    const { sequences } = await ask(engine({ decoder }), request).result;
    expect(sequences?.map(({ tokenIds, finishReason }) => [tokenIds.length, finishReason])).toEqual([[3, "length"]]);
  });
});

describe("the cache", () => {
  const promptIds = Array.from({ length: 150 }, (_, i) => 3 + ((i * 37) % 900));
  const plain = { promptIds, embedded: false, options: { max_new_tokens: 5, eos_token_id: [] } };
  const beams = { ...plain, options: { ...plain.options, num_beams: 4 } };

  test("beams go on from what an earlier answer left, and leave something themselves", async () => {
    const one = engine();
    const first = await ask(one, beams).result;
    expect(first.usage.cachedTokens).toBe(0);
    const again = await ask(one, beams).result;
    expect(again.usage.cachedTokens).toBe(promptIds.length - 1);
    expect(again.tokenIds).toEqual(first.tokenIds);
    // All four rows hold the prompt, and each the beginning of some answer.
    const turns = ["a", "b", "c", "d"].map((_, i) => ({ ...plain, promptIds: [...promptIds, 100 + i] }));
    const together = await Promise.all(turns.map((turn) => ask(one, turn).result));
    for (const [i, turn] of turns.entries()) {
      expect(together[i]?.usage.cachedTokens).toBe(promptIds.length);
      expect(together[i]?.tokenIds).toEqual((await ask(engine(), turn).result).tokenIds);
    }
    const next = { ...plain, promptIds: [...promptIds, ...first.tokenIds, 7] };
    expect((await ask(one, next).result).tokenIds).toEqual((await ask(engine(), next).result).tokenIds);
  });

  test("more beams than slots: served alone, and the room is given back", async () => {
    const one = engine({ slots: 2 });
    const wide = { ...plain, options: { ...plain.options, num_beams: 7 } };
    const before = await Promise.all([ask(one, plain).result, ask(one, wide).result, ask(one, plain).result]);
    const alone = await ask(engine(), wide).result;
    expect(before[1]?.tokenIds).toEqual(alone.tokenIds);
    expect(before[0]?.tokenIds).toEqual(before[2]?.tokenIds);
    const after = await ask(one, plain).result;
    expect(after.tokenIds).toEqual(before[0]?.tokenIds);
    expect(after.usage.cachedTokens).toBe(promptIds.length - 1);
    const short = { ...plain, promptIds: promptIds.slice(100, 110) };
    expect((await ask(one, short).result).tokenIds).toEqual((await ask(engine(), short).result).tokenIds);
  });
});

describe("what cannot be served is refused", () => {
  const refused = (options: object) => () => engine().generate({ prompt: [[1]], detokenizer: tokenizer, options });

  test.each([
    [{ num_return_sequences: 2 }, "num_return_sequences: 2 is more than num_beams: 1"],
    [{ num_beams: 2, num_return_sequences: 3 }, "num_return_sequences: 3 is more than num_beams: 2"],
    [{ early_stopping: "always" }, 'early_stopping: expected one of true, false, "never", got "always"'],
    [{ length_penalty: Number.NaN }, "length_penalty: expected a number, got NaN"],
    [{ semantics: "4.37" }, 'semantics: expected one of "newest", "4.38", "4.36", "4.30", got "4.37"'],
    [{ num_beams: 2, do_sample: true, semantics: "4.30" }, 'not available with semantics: "4.30"'],
  ])("%j", (options, message) => {
    expect(refused(options)).toThrow(message);
  });

  test("options that forbid every token, and scores beyond the worst possible, end that request only", async () => {
    const one = engine();
    const all = Array.from({ length: 1000 }, (_, id) => id);
    const bad = ask(one, { promptIds: [1], embedded: false, options: { num_beams: 2, suppress_tokens: all } });
    const good = ask(one, { promptIds: [1], embedded: false, options: { num_beams: 2, max_new_tokens: 3 } });
    await expect(bad.result).rejects.toMatchObject({ code: "scores" });
    expect((await good.result).tokenIds).toHaveLength(3);
    const steep = { num_beams: 2, max_new_tokens: 12, length_penalty: -30 };
    await expect(ask(one, { promptIds: [1], embedded: false, options: steep }).result).rejects.toMatchObject({ code: "scores" });
  });
});
