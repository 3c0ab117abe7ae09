import { expect, test } from "vitest";
import { readGenerationConfig } from "./generation-config.ts";
import { OptionsError } from "./generation-error.ts";
import { type GenerationOptions, resolveOptions } from "./options.ts";

test("defaults are those of transformers", () => {
  expect(resolveOptions()).toMatchObject({
    do_sample: false,
    temperature: 1,
    top_k: 50,
    top_p: 1,
    repetition_penalty: 1,
    eos_token_id: [],
    num_beams: 1,
  });
});

test("later layers win; null and undefined leave the earlier value", () => {
  const merged = resolveOptions({ temperature: 0.9, top_p: 0.6, eos_token_id: 2 }, { top_p: 0.8, temperature: null }, { seed: undefined });
  expect(merged).toMatchObject({ temperature: 0.9, top_p: 0.8, eos_token_id: [2], seed: null });
});

test("a length in a later layer replaces both lengths of earlier ones", () => {
  expect(resolveOptions({ max_new_tokens: 99 }, { max_length: 14 })).toMatchObject({ max_new_tokens: null, max_length: 14 });
  expect(resolveOptions({ max_length: 2048 }, { max_new_tokens: 5 })).toMatchObject({ max_new_tokens: 5, max_length: null });
  expect(resolveOptions({ max_length: 2048 }, { top_k: 3 })).toMatchObject({ max_new_tokens: null, max_length: 2048 });
});

test("every mistake is in one error", () => {
  const options = {
    max_new_tokens: 0,
    temperature: Number.NaN,
    top_p: 1.5,
    bad_words_ids: [[3], []],
    topk: 5,
    stop_strings: [""],
    seed: 0.5,
  };
  expect(() => resolveOptions(options as GenerationOptions)).toThrowErrorMatchingInlineSnapshot(`
    [GenerationError: generation options: 7 mistakes; nothing was generated
      topk: unknown option; known are max_new_tokens, max_length, min_new_tokens, min_length, do_sample, temperature, top_k, top_p, min_p, top_h, typical_p, epsilon_cutoff, eta_cutoff, repetition_penalty, no_repeat_ngram_size, bad_words_ids, sequence_bias, suppress_tokens, begin_suppress_tokens, forced_bos_token_id, forced_eos_token_id, exponential_decay_length_penalty, remove_invalid_values, renormalize_logits, eos_token_id, stop_strings, stop_words_ids, num_beams, num_return_sequences, length_penalty, early_stopping, semantics, seed
      max_new_tokens: expected an integer ≥ 1, got 0
      temperature: expected a number > 0, got NaN
      top_p: expected a number ≥ 0 and ≤ 1, got 1.5
      bad_words_ids: expected a list, each entry a list that is not empty, got [[3],[]]
      stop_strings: expected a list, each entry a text that is not empty, got [""]
      seed: expected an integer ≥ 0, got 0.5]
  `);
});

test("temperature 0 names the cure", () => {
  expect(() => resolveOptions({ do_sample: true, temperature: 0 })).toThrow(
    "temperature: expected a number > 0, got 0; do_sample: false takes the best token",
  );
});

test.each([
  ["temperature", Infinity],
  ["temperature", -1],
  ["temperature", "0.5"],
  ["top_k", -1],
  ["top_k", 2.5],
  ["top_p", -0.1],
  ["min_p", 2],
  ["typical_p", 0],
  ["repetition_penalty", 0],
  ["repetition_penalty", Number.NaN],
  ["max_new_tokens", Infinity],
  ["max_length", -5],
  ["eos_token_id", -1],
  ["eos_token_id", [2, "x"]],
  ["do_sample", "yes"],
  ["num_beams", 0],
  ["seed", -1],
  ["exponential_decay_length_penalty", [1]],
  ["sequence_bias", [[[1], Number.NaN]]],
])("%s: %j is refused by name", (name, value) => {
  const error = thrown(() => resolveOptions({ [name]: value }));
  expect(error).toBeInstanceOf(OptionsError);
  expect(error).toMatchObject({
    code: "option",
    name: "GenerationError",
    problems: [expect.stringMatching(new RegExp(`^${name}: expected `))],
  });
});

test("a generation_config.json gives its options and passes over what does not change tokens", () => {
  const config = {
    _from_model_config: true,
    bos_token_id: 1,
    eos_token_id: [2, 7],
    temperature: 0.9,
    top_p: null,
    use_cache: true,
    guidance_scale: 1,
  };
  expect(readGenerationConfig(config)).toEqual({ options: { eos_token_id: [2, 7], temperature: 0.9 }, problems: [] });
});

test("a generation_config.json that asks for something else is not obeyed by half", () => {
  expect(readGenerationConfig({ guidance_scale: 1.5, penalty_alpha: 0.6 }).problems).toEqual([
    "guidance_scale: 1.5 is not supported; remove it from the file",
    "penalty_alpha: 0.6 is not supported; remove it from the file",
  ]);
});

function thrown(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  return undefined;
}
