import { Runtime } from "@waggle/runtime";
import { afterAll, expect, test } from "vitest";
import { Engine, type EngineOptions } from "./engine.ts";
import { commonPrefix, flattenPrompt } from "./prompt.ts";

const runtime = new Runtime({ worker: false });
afterAll(() => runtime.dispose());

test("prompts share what was computed only under the same adapter", () => {
  const marks = (adapter: number) => flattenPrompt([[1, 2, 3]], 1000, adapter).marks;
  expect([marks(0), marks(1), marks(2)].map((other) => commonPrefix(marks(1), other))).toEqual([0, 3, 0]);
});

test("an adapter that the decoder does not hold", () => {
  const decoder = { layers: 1, kv_heads: 1, head_dim: 1, max_positions: 8, vocab_size: 8, keysDependOnLength: false };
  const never = undefined as never; // the request is refused before anything is run
  const options: EngineOptions = { runtime, session: never, decoder, features: () => never };
  const request = { prompt: [[1]], detokenizer: { decode: () => "" } as never, adapter: 3 };
  expect(() => new Engine(options).generate(request)).toThrow("adapter: expected an integer from 0 to 0, got 3");
  expect(() => new Engine({ ...options, adapters: 2 }).generate(request)).toThrow("adapter: expected an integer from 0 to 2, got 3");
});
