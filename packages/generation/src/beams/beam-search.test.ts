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
  for (const { tokenIds, finishReason, text } of sequences) {
    expect(finishReason).toBe(eos.includes(tokenIds.at(-1) ?? -1) ? "stop" : "length");
    expect(text).toBe(tokenizer.decode(tokenIds, { skipSpecialTokens: true }));
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
