import { initialize, loadStateDict } from "@waggle/nn";
import { describe, expect, expectTypeOf, test } from "vitest";
import { type Opt, opt } from "./index.ts";

const tiny = {
  vocab_size: 20,
  hidden_size: 8,
  ffn_dim: 12,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  max_position_embeddings: 16,
} as const;

/** A file with the weights of such a model. */
function fileOf(language: Opt): Parameters<typeof loadStateDict>[1] {
  initialize(language, { seed: 1 });
  return {
    source: "file",
    tensors: new Map([...language.namedParameters()].flatMap(([path, { source }]) => (source ? [[path, source]] : []))),
  };
}

test("what config.json leaves out is OPT-125m", () => {
  expect(opt({}).config).toEqual({
    vocab_size: 50_272,
    hidden_size: 768,
    ffn_dim: 3_072,
    num_hidden_layers: 12,
    num_attention_heads: 12,
    max_position_embeddings: 2_048,
    word_embed_proj_dim: 768,
    activation_function: "relu",
    do_layer_norm_before: true,
    _remove_final_layer_norm: false,
    enable_bias: true,
    layer_norm_elementwise_affine: true,
    tie_word_embeddings: true,
    init_std: 0.02,
  });
  expect(opt({ ...tiny, hidden_size: 16, word_embed_proj_dim: null }).hidden_size).toBe(16);
});

test("widths are literal where the config has one: of the embeddings, not of the layers", () => {
  expectTypeOf(opt(tiny)).toEqualTypeOf<Opt<8>>();
  expectTypeOf(opt({ ...tiny, word_embed_proj_dim: 4 })).toEqualTypeOf<Opt<4>>();
  expectTypeOf(opt({})).toEqualTypeOf<Opt<number>>();
  const { hidden_size, head_dim, kv_heads, max_positions } = opt({ ...tiny, word_embed_proj_dim: 4 });
  expect({ hidden_size, head_dim, kv_heads, max_positions }).toEqual({ hidden_size: 4, head_dim: 4, kv_heads: 2, max_positions: 16 });
});

describe("mistakes", () => {
  test("all of a config's are listed at once", () => {
    expect(() =>
      opt({ ...tiny, vocab_size: 0, activation_function: "gleu", enable_bias: "yes", max_position_embeddings: 1e9 }),
    ).toThrowErrorMatchingInlineSnapshot(`
      [ConfigError: OptConfig: vocab_size: expected a whole number from 1 to 4194304 (the limit for vocab_size), got 0.
        max_position_embeddings: expected a whole number from 1 to 33554432 (the limit for max_position_embeddings), got 1000000000.
        activation_function: expected one of gelu, gelu_10, gelu_accurate, gelu_fast, gelu_new, gelu_python, gelu_python_tanh, gelu_pytorch_tanh, hardswish, laplace, leaky_relu, linear, mish, quick_gelu, relu, relu2, relu6, sigmoid, silu, swish, tanh, got "gleu".
        enable_bias: expected true or false, got "yes".]
    `);
    expect(() => opt({ ...tiny, num_attention_heads: 3 })).toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: OptConfig: num_attention_heads: expected a divisor of hidden_size 8 that leaves heads of at most 4096, got 3.]`,
    );
    expect(() => opt("opt" as never)).toThrow(/expected an object, the content of a config.json, got "opt"/);
  });

  test("a file of another shape names the option", () => {
    expect(() => loadStateDict(opt(tiny), fileOf(opt({ ...tiny, tie_word_embeddings: false })))).toThrowErrorMatchingInlineSnapshot(`
      [StateDictError: Opt ← file: 1 ambiguous of 21 keys; nothing was loaded
        ambiguous   model.decoder.embed_tokens.weight  the file has it as model.decoder.embed_tokens.weight and as lm_head.weight. The file does not tie them: build with tie_word_embeddings: false.]
    `);
    expect(() => loadStateDict(opt({ ...tiny, enable_bias: false }), fileOf(opt(tiny)))).toThrow(
      /fc1\.bias .*Build with enable_bias: true/,
    );
    expect(() => loadStateDict(opt(tiny), fileOf(opt({ ...tiny, num_hidden_layers: 2 })))).toThrow(/Compare num_hidden_layers \(1\)/);
  });
});
