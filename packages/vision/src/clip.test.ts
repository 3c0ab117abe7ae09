import { openCheckpoint, openSafetensors } from "@waggle/checkpoint";
import { type GraphDefinition, input, symbol } from "@waggle/graph";
import { ConfigError, initialize, loadStateDict, StateDictError } from "@waggle/nn";
import { describe, expect, expectTypeOf, test } from "vitest";
import { compileGraph, runGraph } from "../../../testing/run-graph.ts";
import { expectClose, float32, floats, need, readMetadata, readTensors } from "../../../testing/tensors.ts";
import { type ClipOptions, type ClipVisionEncoder, clip, vitB16, vitB32, vitL14, vitL14_336 } from "./index.ts";

const golden = new URL("../../../golden/llava-tiny-hf/", import.meta.url).pathname;
/** The tower of golden/llava-tiny-hf, as its config.json has it. */
const tiny = {
  hidden_size: 32,
  intermediate_size: 64,
  num_hidden_layers: 3,
  num_attention_heads: 4,
  image_size: 56,
  patch_size: 14,
} as const;
/** What the case records. */
const tolerance = { abs: 2e-5, rel: 1e-4 };

function graphOf(encoder: ClipVisionEncoder): GraphDefinition {
  const { height, width } = encoder.image_size;
  const pixel_values = input("pixel_values", "float32", [symbol("B"), 3, height, width]);
  return { inputs: { pixel_values }, outputs: { features: encoder.forward(pixel_values) } };
}

describe.each(["onnxruntime", "portable"] as const)("llava-tiny-hf, %s", (target) => {
  test("the selected layer of every picture, class token kept and dropped", async () => {
    const io = await readTensors(`${golden}io.safetensors`);
    const checkpoint = await openCheckpoint(golden);
    const rename = (key: string): string | null => (key.startsWith("vision_tower.") ? key : null);
    const keep = clip(tiny, { classToken: "keep" });
    const drop = clip(tiny);
    for (const encoder of [keep, drop]) loadStateDict(encoder, checkpoint, { prefix: "vision_tower", rename });
    const [runKeep, runDrop] = [await compileGraph(graphOf(keep), target), await compileGraph(graphOf(drop), target)];
    const pictures = Object.keys(io).flatMap((key) => (key.startsWith("output.vision_hidden_state.") ? [key.slice(27)] : []));
    expect(pictures).toHaveLength(5);
    for (const picture of pictures) {
      const pixel_values = need(io, `input.pixel_values.${picture}`);
      const expected = io[`output.vision_hidden_state.${picture}`];
      expectClose((await runKeep({ pixel_values })).features, expected, tolerance);
      const patches = float32(floats(expected).slice(32), [1, 16, 32]);
      expectClose((await runDrop({ pixel_values })).features, patches, tolerance);
    }
  });

  test("the same weights under transformers 5's keys", async () => {
    const io = await readTensors(`${golden}io.safetensors`);
    const checkpoint = await openCheckpoint(new URL("../../../golden/llava-tiny-hf-newkeys", import.meta.url).pathname);
    const encoder = clip(tiny, { classToken: "keep" });
    loadStateDict(encoder, checkpoint, {
      prefix: "model.vision_tower",
      rename: (key) => key.replace("model.vision_tower.", "model.vision_tower.vision_model."),
    });
    const { features } = await runGraph(graphOf(encoder), { pixel_values: need(io, "input.pixel_values.scene.png") }, target);
    expectClose(features, io["output.vision_hidden_state.scene.png"], tolerance);
  });
});

/** Where the features must come from: hidden states side by side, the class token's row dropped or not. */
function selected(states: readonly (Float32Array | undefined)[], rows: number, width: number, keep: boolean): number[] {
  const values: number[] = [];
  for (let batch = 0; batch < 2; batch++) {
    for (let row = keep ? 0 : 1; row < rows; row++) {
      for (const state of states) values.push(...(state ?? []).slice((batch * rows + row) * width, (batch * rows + row + 1) * width));
    }
  }
  return values;
}

describe.each(["clip-quick-gelu", "clip-uneven-patch", "clip-one-head"])("%s", (name) => {
  const file = new URL(`__vectors__/${name}.safetensors`, import.meta.url);

  async function load(options: ClipOptions): Promise<ClipVisionEncoder> {
    const { config } = await readMetadata(file);
    const encoder = clip(config as object, options);
    loadStateDict(encoder, await openSafetensors(file.pathname), { prefix: "state" });
    return encoder;
  }

  test("every layer by its index from both ends, with and without the class token, alone and side by side", async () => {
    const vectors = await readTensors(file);
    const { config } = (await readMetadata(file)) as { config: { num_hidden_layers: number; hidden_size: number } };
    const { num_hidden_layers: n, hidden_size } = config;
    const states = Array.from({ length: n + 1 }, (_, layer) => floats(vectors[`output.hidden_states.${layer}`]));
    const asked: ClipOptions["layer"][] = [
      ...Array.from({ length: 2 * n + 2 }, (_, i) => i - n - 1),
      undefined,
      [-1],
      [0, -1],
      [-2, 1, n, -2],
    ];
    for (const layer of asked) {
      for (const classToken of ["keep", "drop"] as const) {
        const encoder = await load(layer === undefined ? { classToken } : { layer, classToken });
        const layers = (typeof layer === "object" ? layer : [layer ?? -2]).map((index) => (index < 0 ? n + 1 + index : index));
        const rows = encoder.grid.rows * encoder.grid.columns + 1;
        const expected = selected(
          layers.map((index) => states[index]),
          rows,
          hidden_size,
          classToken === "keep",
        );
        const { features } = await runGraph(graphOf(encoder), { pixel_values: need(vectors, "input.pixel_values") });
        expectClose(features, float32(expected, [2, encoder.patches, encoder.hidden_size]));
        expect(encoder.hidden_size).toBe(hidden_size * layers.length);
        expect(encoder.patches).toBe(classToken === "keep" ? rows : rows - 1);
      }
    }
  });

  test("builds the layers that it runs and no others", async () => {
    const { config } = (await readMetadata(file)) as { config: { num_hidden_layers: number } };
    for (let layer = 0; layer <= config.num_hidden_layers; layer++) {
      const encoder = await load({ layer });
      expect([...encoder.namedParameters()].filter(([path]) => path.endsWith("layer_norm1.weight"))).toHaveLength(layer);
    }
  });

  test.each(["onnxruntime", "portable"] as const)("pictures of other sizes, positions interpolated, %s", async (target) => {
    const vectors = await readTensors(file);
    const { sizes } = (await readMetadata(file)) as { sizes: readonly (readonly [number, number])[] };
    for (const [height, width] of sizes) {
      const encoder = await load({ layer: -1, classToken: "keep", image_size: { height, width } });
      const pixel_values = need(vectors, `input.pixel_values.${height}x${width}`);
      const { features } = await runGraph(graphOf(encoder), { pixel_values }, target);
      expectClose(features, vectors[`output.hidden_states.${height}x${width}`]);
    }
  });

  test("a picture's features do not depend on its neighbours", async () => {
    const encoder = await load({ layer: -1 });
    const run = await compileGraph(graphOf(encoder));
    const pixels = floats((await readTensors(file))["input.pixel_values"]);
    const { height, width } = encoder.image_size;
    const size = 3 * height * width;
    const together = floats((await run({ pixel_values: float32(pixels, [2, 3, height, width]) })).features);
    const second = await run({ pixel_values: float32(pixels.slice(size), [1, 3, height, width]) });
    const { patches, hidden_size } = encoder;
    expectClose(second.features, float32(together.slice(patches * hidden_size), [1, patches, hidden_size]), { abs: 2e-6, rel: 1e-5 });
  });
});

describe("loading", () => {
  const pixels = (
    encoder: ClipVisionEncoder,
  ): Record<string, { dtype: "float32"; shape: readonly number[]; fingerprint: string; read: () => Promise<Uint8Array> }> =>
    Object.fromEntries(
      [...encoder.namedParameters()].map(([path, { shape }]) => [
        path,
        { dtype: "float32" as const, shape, fingerprint: path, read: async () => new Uint8Array() },
      ]),
    );
  const all = pixels(clip(tiny, { layer: -1 }));
  const scalar = { dtype: "float32" as const, shape: [] as number[], fingerprint: "", read: async () => new Uint8Array() };

  test("passes over what a whole CLIP file holds besides", () => {
    const more = [
      "text_model.final_layer_norm.weight",
      "visual_projection.weight",
      "text_projection.weight",
      "logit_scale",
      "vision_model.post_layernorm.weight",
      "vision_model.post_layernorm.bias",
      "vision_model.embeddings.position_ids",
    ];
    const tensors = new Map([...Object.entries(all), ...more.map((key) => [key, scalar] as const)]);
    for (const layer of [0, 1, -2, -1]) expect(() => loadStateDict(clip(tiny, { layer }), { source: "clip", tensors })).not.toThrow();
  });

  test("but not over layers that the config does not have, nor over strangers", () => {
    const tensors = new Map([
      ...Object.entries(all),
      ["vision_model.encoder.layers.3.layer_norm1.weight", scalar],
      ["vision_model.head.weight", scalar],
    ]);
    expect(() => loadStateDict(clip(tiny), { source: "clip", tensors })).toThrowErrorMatchingInlineSnapshot(`
      [StateDictError: ClipVisionEncoder ← clip: 2 unexpected of 55 keys; nothing was loaded
        unexpected  vision_model.encoder.layers.3.layer_norm1.weight  the module has no such key. Compare num_hidden_layers (3) and the sizes in vision_config with the file.
        unexpected  vision_model.head.weight  the module has no such key.]
    `);
  });

  test("a file for another image size names the option", () => {
    const tensors = new Map(
      Object.entries({ ...all, "vision_model.embeddings.position_embedding.weight": { ...scalar, shape: [50, 32] } }),
    );
    expect(() => loadStateDict(clip(tiny), { source: "clip", tensors })).toThrowErrorMatchingInlineSnapshot(`
      [StateDictError: ClipVisionEncoder ← clip: 1 mismatched of 53 keys; nothing was loaded
        mismatch    vision_model.embeddings.position_embedding.weight  module [17, 32], file [50, 32]. image_size 56 and patch_size 14 must be those the file was trained with; another size of pictures is the option image_size.]
    `);
    expect(() => loadStateDict(clip(tiny), { source: "clip", tensors })).toThrow(StateDictError);
  });
});

describe("mistakes", () => {
  test("all of a config's are listed at once", () => {
    const config = {
      hidden_size: 1e9,
      num_attention_heads: 0,
      image_size: "224",
      hidden_act: "gleu",
      layer_norm_eps: -1,
      num_hidden_layers: 2.5,
    };
    expect(() => clip(config)).toThrowErrorMatchingInlineSnapshot(`
      [ConfigError: ClipVisionConfig: hidden_size: expected a whole number from 1 to 16384 (the limit for hidden_size), got 1000000000.
        num_hidden_layers: expected a whole number from 1 to 512 (the limit for num_hidden_layers), got 2.5.
        num_attention_heads: expected a whole number from 1 to 512 (the limit for num_attention_heads), got 0.
        image_size: expected a whole number from 1 to 16384 (the limit for image_size), got "224".
        hidden_act: expected one of gelu, gelu_10, gelu_accurate, gelu_fast, gelu_new, gelu_python, gelu_python_tanh, gelu_pytorch_tanh, hardswish, laplace, leaky_relu, linear, mish, quick_gelu, relu, relu2, relu6, sigmoid, silu, swish, tanh, got "gleu".
        layer_norm_eps: expected a number above 0, got -1.]
    `);
  });

  test("sizes that do not go together", () => {
    expect(() => clip({ hidden_size: 30, num_attention_heads: 4, image_size: 8, patch_size: 9 })).toThrowErrorMatchingInlineSnapshot(`
      [ConfigError: ClipVisionConfig: num_attention_heads: expected a divisor of hidden_size 30, got 4.
        patch_size: expected at most image_size 8, got 9.]
    `);
    expect(() => clip({ image_size: 16_000, patch_size: 1 })).toThrow(/256000000 patches are above the limit of 65536/);
    expect(() => clip(null as never)).toThrow(/expected an object, the vision_config of a config.json, got null/);
  });

  test("layers that there are not, options that there are not", () => {
    for (const layer of [4, -5, 1.5, Number.NaN, [0, 7], []]) expect(() => clip(tiny, { layer })).toThrow(ConfigError);
    expect(() => clip(tiny, { layer: [-5, 9], classToken: "maybe" as never, image_size: 5 })).toThrowErrorMatchingInlineSnapshot(`
      [ConfigError: clip: layer: expected a whole number from -4 to 3 (3 layers), got -5.
        layer: expected a whole number from -4 to 3 (3 layers), got 9.
        classToken: expected "drop" or "keep", got "maybe".
        image_size: expected a height from patch_size 14 to 16384 (the limit), got 5.
        image_size: expected a width from patch_size 14 to 16384 (the limit), got 5.]
    `);
    expect(() => clip(tiny, { layers: -2 } as ClipOptions)).toThrow(
      /clip: layers: is not an option. There are: layer, classToken, image_size/,
    );
  });

  test("pictures of another size than the encoder's", () => {
    const encoder = clip(tiny);
    expect(() => encoder.forward(input("pixel_values", "float32", [1, 3, 56, 28]))).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: ClipVisionEncoder: expected pixel_values of 56×56, got 56×28. Resize the pictures, or build with the option image_size for pictures of another size.]`,
    );
  });
});

test("fields that a config.json leaves out have transformers' defaults", () => {
  expect(clip({}).config).toEqual({
    hidden_size: 768,
    intermediate_size: 3072,
    num_hidden_layers: 12,
    num_attention_heads: 12,
    num_channels: 3,
    image_size: 224,
    patch_size: 32,
    hidden_act: "quick_gelu",
    layer_norm_eps: 1e-5,
    initializer_range: 0.02,
    initializer_factor: 1,
  });
  expect(clip({ layer_norm_eps: null, model_type: "clip_vision_model", projection_dim: 5 }).config.layer_norm_eps).toBe(1e-5);
});

test("the published towers have the published numbers of patches and parameters", () => {
  expect([vitB32, vitB16, vitL14, vitL14_336].map((config) => clip(config).patches)).toEqual([49, 196, 256, 576]);
  // 24 layers of 12·1024² + 13·1024 each, patches, positions, class token, pre_layrnorm; without post_layernorm
  expect(clip(vitL14_336, { layer: -1 }).parameterCount()).toBe(
    24 * (12 * 1024 ** 2 + 13 * 1024) + 1024 * 3 * 14 * 14 + 577 * 1024 + 1024 + 2048,
  );
});

test("a width is a literal type where the config's is one, and a number where several layers stand side by side", () => {
  expectTypeOf(clip(vitL14_336).hidden_size).toEqualTypeOf<1024>();
  expectTypeOf(clip(vitL14_336, { layer: -1, classToken: "keep" }).hidden_size).toEqualTypeOf<1024>();
  expectTypeOf(clip(vitL14_336, { layer: [-1, -2] }).hidden_size).toEqualTypeOf<number>();
  expectTypeOf(clip({} as object).hidden_size).toEqualTypeOf<number>();
  expect(clip(vitL14_336, { layer: [-1, -2] }).hidden_size).toBe(2048);
});

test("the fresh initialisation of every parameter is finite and deterministic", async () => {
  const [one, two] = [clip(tiny), clip(tiny)];
  for (const encoder of [one, two]) initialize(encoder, { seed: 5 });
  const feeds = { pixel_values: float32(new Float32Array(3 * 56 * 56).fill(0.3), [1, 3, 56, 56]) };
  const [{ features: a }, { features: b }] = [await runGraph(graphOf(one), feeds), await runGraph(graphOf(two), feeds)];
  expectClose(a, b, { abs: 0, rel: 0 });
  expect(floats(a).every(Number.isFinite)).toBe(true);
});
