import { Linear, loadStateDict, StateDictError } from "@waggle/nn";
import { describe, expect, expectTypeOf, test } from "vitest";
import { type LlamaConfig, llama, mistral, qwen2, tinyLlama, vicuna7b, vicuna13b } from "./index.ts";

const small = {
  hidden_size: 8,
  intermediate_size: 16,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  vocab_size: 10,
  max_position_embeddings: 64,
} as const;

test("what config.json leaves out has transformers' defaults", () => {
  const { rope, ...config } = llama({
    ...small,
    hidden_size: 64,
    rope_scaling: null,
    head_dim: null,
    torch_dtype: "float16",
    bos_token_id: 1,
  } as object).config;
  expect(rope).toEqual({ rope_type: "default", rope_theta: 10_000 });
  expect(config).toEqual({
    ...small,
    hidden_size: 64,
    num_key_value_heads: 2,
    head_dim: 32,
    hidden_act: "silu",
    max_positions: 64,
    rms_norm_eps: 1e-6,
    attention_bias: false,
    attention_output_bias: false,
    mlp_bias: false,
    tie_word_embeddings: false,
    initializer_range: 0.02,
  });
  // llava-1.5-7b-hf's text_config, which says no more than this
  const llava = llama({ max_position_embeddings: 4096, rms_norm_eps: 1e-5, vocab_size: 32_064 }).config;
  expect(llava).toMatchObject({
    hidden_size: 4096,
    intermediate_size: 11_008,
    num_hidden_layers: 32,
    num_key_value_heads: 32,
    head_dim: 128,
  });
});

test("the published models have the published numbers of parameters", () => {
  expect(llama(vicuna7b).parameterCount()).toBe(6_738_415_616);
  expect(llama(vicuna13b).parameterCount()).toBe(13_015_864_320);
  expect(llama(tinyLlama).parameterCount()).toBe(1_100_048_384);
  expectTypeOf(llama(tinyLlama).hidden_size).toEqualTypeOf<2048>();
  expectTypeOf(llama({} as object).hidden_size).toEqualTypeOf<number>();
  expect(llama(tinyLlama).hidden_size).toBe(2048);
});

describe("rotary scaling in both spellings", () => {
  const llama3 = { factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 8192 };
  const rope = (config: LlamaConfig) => llama({ ...small, ...config }).config.rope;
  test.each<[string, LlamaConfig, object]>([
    [
      "Llama 3.1 as published",
      { rope_theta: 5e5, rope_scaling: { rope_type: "llama3", ...llama3 } },
      { rope_type: "llama3", rope_theta: 5e5, ...llama3 },
    ],
    [
      "and as transformers 5 writes it",
      { rope_parameters: { rope_type: "llama3", rope_theta: 5e5, ...llama3 } },
      { rope_type: "llama3", rope_theta: 5e5, ...llama3 },
    ],
    ["the key `type` of 2023", { rope_scaling: { type: "linear", factor: 4 } }, { rope_type: "linear", rope_theta: 10_000, factor: 4 }],
    [
      "rope_scaling counts before rope_parameters",
      { rope_scaling: { type: "linear", factor: 4 }, rope_parameters: { rope_type: "dynamic", factor: 2 } },
      { rope_type: "linear", factor: 4 },
    ],
    [
      "the innermost rope_theta counts",
      { rope_theta: 1, rope_parameters: { rope_type: "default", rope_theta: 7 } },
      { rope_type: "default", rope_theta: 7 },
    ],
    [
      "yarn without a factor",
      { max_position_embeddings: 64, rope_scaling: { rope_type: "yarn", original_max_position_embeddings: 16 } },
      { factor: 4, beta_fast: 32, beta_slow: 1, truncate: true },
    ],
  ])("%s", (_, config, expected) => {
    expect(rope(config)).toMatchObject(expected);
  });

  test("how many positions there are", () => {
    const positions = (rope_parameters: Readonly<Record<string, unknown>>) => llama({ ...small, rope_parameters }).max_positions;
    expect(positions({ rope_type: "default" })).toBe(64);
    expect(positions({ rope_type: "linear", factor: 2.5 })).toBe(160);
    expect(positions({ rope_type: "llama3", ...llama3 })).toBe(64);
    expect(positions({ rope_type: "yarn", factor: 4, original_max_position_embeddings: 32 })).toBe(128);
    expect(positions({ rope_type: "dynamic", factor: 2 })).toBe(Number.POSITIVE_INFINITY);
    expect(mistral({ ...small, num_key_value_heads: 2, sliding_window: 16 }).max_positions).toBe(16);
    expect(mistral({ ...small, num_key_value_heads: 2, sliding_window: null }).max_positions).toBe(64);
    expect(qwen2({ ...small, num_key_value_heads: 2, sliding_window: 16 }).max_positions).toBe(64);
    expect(qwen2({ ...small, num_key_value_heads: 2, sliding_window: 16, use_sliding_window: true }).max_positions).toBe(16);
  });
});

describe("mistakes", () => {
  test("all of a config's are listed at once", () => {
    const config = {
      hidden_size: 1e9,
      num_hidden_layers: 0,
      vocab_size: "32000",
      rms_norm_eps: Number.NaN,
      hidden_act: "silly",
      mlp_bias: 1,
      rope_scaling: { rope_type: "linear", factor: -2, partial_rotary_factor: 0.5 },
    };
    expect(() => llama(config)).toThrowErrorMatchingInlineSnapshot(`
      [ConfigError: LlamaConfig: vocab_size: expected a whole number from 1 to 4194304 (the limit for vocab_size), got "32000".
        hidden_size: expected a whole number from 1 to 65536 (the limit for hidden_size), got 1000000000.
        num_hidden_layers: expected a whole number from 1 to 1024 (the limit for num_hidden_layers), got 0.
        hidden_act: expected one of gelu, gelu_10, gelu_accurate, gelu_fast, gelu_new, gelu_python, gelu_python_tanh, gelu_pytorch_tanh, hardswish, laplace, leaky_relu, linear, mish, quick_gelu, relu, relu2, relu6, sigmoid, silu, swish, tanh, got "silly".
        rms_norm_eps: expected a number above 0, got null.
        rope_parameters.partial_rotary_factor: only 1 (the whole head is rotated) is supported, got 0.5.
        rope_parameters.factor: expected a number above 0, got -2.
        mlp_bias: expected true or false, got 1.]
    `);
  });

  test("an unknown kind of scaling names the known ones", () => {
    expect(() => llama({ ...small, rope_scaling: { rope_type: "longrope" } })).toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: LlamaConfig: rope_parameters.rope_type: expected one of default, linear, dynamic, llama3, yarn, got "longrope".]`,
    );
    expect(() => llama({ ...small, rope_scaling: { type: "llama3", factor: 8 } })).toThrowErrorMatchingInlineSnapshot(`
      [ConfigError: LlamaConfig: rope_parameters.low_freq_factor: expected a number above 0, got nothing.
        rope_parameters.high_freq_factor: expected a number above 0, got nothing.]
    `);
    expect(() => llama({ ...small, rope_scaling: [] as never })).toThrow(/rope_parameters/);
  });

  test("heads that do not go together", () => {
    expect(() => llama({ ...small, num_key_value_heads: 3, num_attention_heads: 4, head_dim: 5 })).toThrowErrorMatchingInlineSnapshot(`
      [ConfigError: LlamaConfig: num_key_value_heads: expected a divisor of the 4 query heads (num_attention_heads), got 3.
        head_dim: expected an even number up to 4096 (rotary embeddings turn pairs), got 5.]
    `);
    expect(() => llama({ ...small, num_attention_heads: 3 })).toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: LlamaConfig: num_attention_heads: 3 heads do not divide hidden_size 8; give head_dim if heads have another size.]`,
    );
    expect(() => llama({ ...small, head_dim: 2, rope_scaling: { type: "dynamic", factor: 2 } })).toThrow(/no formula for heads of 2/);
  });

  test("not a config at all", () => {
    for (const config of [null, [], "llama", 3]) {
      for (const build of [llama, mistral, qwen2]) expect(() => build(config as never)).toThrow(/Config: expected an object/);
    }
    expect(() => mistral({ ...small, num_key_value_heads: 2, sliding_window: -1 })).toThrow(
      /MistralConfig: sliding_window: expected a whole number/,
    );
    expect(() => qwen2({ ...small, num_key_value_heads: 2, use_sliding_window: 2 } as object)).toThrow(
      /Qwen2Config: use_sliding_window: expected true or false/,
    );
  });
});

describe("loading", () => {
  const entry = (shape: readonly number[]) => ({ dtype: "float32" as const, shape, fingerprint: "", read: async () => new Uint8Array() });
  const file = (config: LlamaConfig) => ({
    source: "model.safetensors",
    tensors: new Map([...llama(config).namedParameters()].map(([path, { shape }]) => [path, entry(shape)])),
  });

  test("the frequencies that old files hold are passed over", () => {
    const old = file(small);
    for (const key of ["model.layers.0.self_attn.rotary_emb.inv_freq", "model.rotary_emb.inv_freq"]) old.tensors.set(key, entry([2]));
    expect(() => loadStateDict(llama(small), old)).not.toThrow();
    old.tensors.set("model.layers.0.rotary.inv_freq", entry([2]));
    expect(() => loadStateDict(llama(small), old)).toThrow(StateDictError);
  });

  test("tied and untied files name the field that decides", () => {
    const tied = { ...small, tie_word_embeddings: true };
    expect(() => loadStateDict(llama(small), file(tied))).toThrowErrorMatchingInlineSnapshot(`
      [StateDictError: Llama ← model.safetensors: 1 missing of 11 keys; nothing was loaded
        missing     lm_head.weight  not in the file. Build with tie_word_embeddings: true.]
    `);
    expect(() => loadStateDict(llama(tied), file(small))).toThrowErrorMatchingInlineSnapshot(`
      [StateDictError: Llama ← model.safetensors: 1 ambiguous of 12 keys; nothing was loaded
        ambiguous   model.embed_tokens.weight  the file has it as model.embed_tokens.weight and as lm_head.weight. The file does not tie them: build with tie_word_embeddings: false.]
    `);
    expect(() => loadStateDict(llama(tied), file(tied))).not.toThrow();
  });

  test("biases, layers and vocabularies name theirs", () => {
    const other = { ...small, num_hidden_layers: 3, attention_bias: true, mlp_bias: true, vocab_size: 12 };
    expect(() => loadStateDict(llama(small), file(other))).toThrowErrorMatchingInlineSnapshot(`
      [StateDictError: Llama ← model.safetensors: 39 unexpected, 2 mismatched of 51 keys; nothing was loaded
        unexpected  model.layers.*.self_attn.q_proj.bias (3 keys)  the module has no such key. Build with attention_bias: true.
        unexpected  model.layers.*.self_attn.k_proj.bias (3 keys)  the module has no such key. Build with attention_bias: true.
        unexpected  model.layers.*.self_attn.v_proj.bias (3 keys)  the module has no such key. Build with attention_bias: true.
        unexpected  model.layers.*.self_attn.o_proj.bias (3 keys)  the module has no such key. Build with attention_bias: true.
        unexpected  model.layers.*.mlp.gate_proj.bias (3 keys)  the module has no such key. Build with mlp_bias: true.
        unexpected  model.layers.*.mlp.up_proj.bias (3 keys)  the module has no such key. Build with mlp_bias: true.
        unexpected  model.layers.*.mlp.down_proj.bias (3 keys)  the module has no such key. Build with mlp_bias: true.
        unexpected  model.layers.*.input_layernorm.weight (2 keys)  the module has no such key. Compare num_hidden_layers (1) and the sizes in config.json with the file.
        unexpected  model.layers.*.self_attn.q_proj.weight (2 keys)  the module has no such key. Compare num_hidden_layers (1) and the sizes in config.json with the file.
        unexpected  model.layers.*.self_attn.k_proj.weight (2 keys)  the module has no such key. Compare num_hidden_layers (1) and the sizes in config.json with the file.
        unexpected  model.layers.*.self_attn.v_proj.weight (2 keys)  the module has no such key. Compare num_hidden_layers (1) and the sizes in config.json with the file.
        unexpected  model.layers.*.self_attn.o_proj.weight (2 keys)  the module has no such key. Compare num_hidden_layers (1) and the sizes in config.json with the file.
        unexpected  model.layers.*.post_attention_layernorm.weight (2 keys)  the module has no such key. Compare num_hidden_layers (1) and the sizes in config.json with the file.
        unexpected  model.layers.*.mlp.gate_proj.weight (2 keys)  the module has no such key. Compare num_hidden_layers (1) and the sizes in config.json with the file.
        unexpected  model.layers.*.mlp.up_proj.weight (2 keys)  the module has no such key. Compare num_hidden_layers (1) and the sizes in config.json with the file.
        unexpected  model.layers.*.mlp.down_proj.weight (2 keys)  the module has no such key. Compare num_hidden_layers (1) and the sizes in config.json with the file.
        mismatch    model.embed_tokens.weight  module [10, 8], file [12, 8]. Compare vocab_size and hidden_size in config.json with the file.
        mismatch    lm_head.weight  module [10, 8], file [12, 8]. Compare vocab_size and hidden_size in config.json with the file.]
    `);
  });

  test("tied embeddings are one parameter", () => {
    const { lm_head, model } = llama({ ...small, tie_word_embeddings: true });
    expect(lm_head).toBeInstanceOf(Linear);
    expect(lm_head.weight).toBe(model.embed_tokens.weight);
  });
});
