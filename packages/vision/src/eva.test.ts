import { type Checkpoint, openSafetensors } from "@waggle/checkpoint";
import { type GraphDefinition, input, symbol, type Value, type WeightSource } from "@waggle/graph";
import { initialize, loadStateDict, setRecompute } from "@waggle/nn";
import { describe, expect, expectTypeOf, test } from "vitest";
import { expectGradients } from "../../../testing/gradients.ts";
import { compileGraph, runGraph } from "../../../testing/run-graph.ts";
import { expectClose, float32, floats, need, readMetadata, readTensors } from "../../../testing/tensors.ts";
import { blip2VisionKey, type EvaOptions, type EvaVisionEncoder, eva, splitQkvBias } from "./index.ts";

const golden = new URL("../../../golden/minigpt4-eva-vit/", import.meta.url).pathname;
/** golden/minigpt4-eva-vit, its expected.json in the spelling of BLIP-2. */
const tiny = {
  hidden_size: 40,
  intermediate_size: 174,
  num_hidden_layers: 3,
  num_attention_heads: 4,
  image_size: 56,
  patch_size: 14,
  ln_vision_eps: 1e-5,
} as const;
/** What the case records. */
const tolerance = { abs: 2e-5, rel: 1e-4 };
const noise = (largest: number): number => 1.19e-6 * Math.max(1, largest);

function graphOf(encoder: EvaVisionEncoder): GraphDefinition {
  const { height, width } = encoder.image_size;
  const pixel_values = input("pixel_values", "float32", [symbol("B"), 3, height, width]);
  const outputs: Record<string, Value> = { hidden: encoder.visual_encoder.forward(pixel_values), features: encoder.forward(pixel_values) };
  let state = encoder.visual_encoder.embed(pixel_values);
  for (const [i, block] of [...encoder.visual_encoder.blocks].entries()) {
    state = block.forward(state);
    outputs[`block_${i}`] = state;
  }
  return { inputs: { pixel_values }, outputs };
}

describe.each(["onnxruntime", "portable"] as const)("minigpt4-eva-vit, %s", (target) => {
  async function load(options: EvaOptions): Promise<EvaVisionEncoder> {
    const encoder = eva(tiny, options);
    loadStateDict(encoder, await openSafetensors(`${golden}model.safetensors`));
    return encoder;
  }

  test("what leaves each block, before and after ln_vision", async () => {
    const io = await readTensors(`${golden}io.safetensors`);
    const results = await runGraph(graphOf(await load({})), { pixel_values: need(io, "input.pixels") }, target);
    for (const name of ["block_0", "block_1", "block_2", "hidden"]) expectClose(results[name], io[`output.${name}`], tolerance);
    expectClose(results.features, io["output.ln_vision"], tolerance);
  });

  test.each([false, true])("the gradients of the picture and of every parameter; blocks recomputed: %s", async (recomputed) => {
    const io = await readTensors(`${golden}io.safetensors`);
    const encoder = await load({});
    setRecompute(encoder, recomputed);
    const pixel_values = input("pixel_values", "float32", [symbol("B"), 3, 56, 56]);
    const by = [["input.pixels", pixel_values] as const, ...encoder.namedParameters()];
    const feeds = { pixel_values: need(io, "input.pixels") };
    await expectGradients({ io, inputs: { pixel_values }, feeds, output: encoder.forward(pixel_values), by, noise }, target);
  });

  test("without the class token", async () => {
    const io = await readTensors(`${golden}io.safetensors`);
    const encoder = await load({ classToken: "drop" });
    const { features } = await runGraph(graphOf(encoder), { pixel_values: need(io, "input.pixels") }, target);
    const all = floats(io["output.ln_vision"]);
    const patches = float32([...all.slice(40, 17 * 40), ...all.slice(18 * 40)], [2, 16, 40]);
    expectClose(features, patches, tolerance);
    expect(encoder.patches).toBe(16);
  });

  test.each([42, 84])("pictures of %i: the table of positions, and what is seen with it", async (size) => {
    const io = await readTensors(`${golden}io.safetensors`);
    const encoder = await load({ image_size: size });
    const { features } = await runGraph(graphOf(encoder), { pixel_values: need(io, `input.pixels_${size}`) }, target);
    expectClose(features, io[`output.ln_vision_${size}`], tolerance);
    expect(encoder.patches).toBe((size / 14) ** 2 + 1);
    // A picture of zeros leaves bias, class token and positions.
    const state = await readTensors(`${golden}model.safetensors`);
    const pixel_values = input("pixel_values", "float32", [1, 3, size, size]);
    const graph = { inputs: { pixel_values }, outputs: { embedded: encoder.visual_encoder.embed(pixel_values) } };
    const zeros = float32(new Float32Array(3 * size * size), [1, 3, size, size]);
    const embedded = floats((await runGraph(graph, { pixel_values: zeros }, target)).embedded);
    const [cls, bias] = [floats(state["visual_encoder.cls_token"]), floats(state["visual_encoder.patch_embed.proj.bias"])];
    const positions = embedded.map((value, i) => value - ((i < 40 ? cls[i] : bias[i % 40]) ?? Number.NaN));
    expectClose(float32(positions, [1, encoder.patches, 40]), io[`output.pos_embed_${size}`], tolerance);
  });
});

function loadBlip2(encoder: EvaVisionEncoder, { source, tensors }: Checkpoint): void {
  loadStateDict(encoder, { source, tensors: splitQkvBias(tensors) }, { rename: blip2VisionKey });
}

describe("golden/blip2-opt-tiny", () => {
  test("the tower of the Hugging Face layout", async () => {
    const folder = new URL("../../../golden/blip2-opt-tiny/", import.meta.url).pathname;
    const io = await readTensors(`${folder}io.safetensors`);
    const encoder = eva({ ...tiny, intermediate_size: 168, layer_norm_eps: 1e-6, ln_vision_eps: 1e-6 });
    loadBlip2(encoder, await openSafetensors(`${folder}model.safetensors`));
    const pixel_values = input("pixel_values", "float32", [symbol("B"), 3, 56, 56]);
    const features = encoder.forward(pixel_values);
    const graph = { inputs: { pixel_values }, outputs: { features, again: encoder.ln_vision.forward(features) } };
    const results = await runGraph(graph, { pixel_values: need(io, "input.pixel_values") });
    expectClose(results.features, io["output.vision.last_hidden_state"], tolerance);
    const rows = floats(results.again);
    const pooled = [0, 1, 2].flatMap((b) => [...rows.slice(b * 17 * 40, b * 17 * 40 + 40)]);
    expectClose(float32(pooled, [3, 40]), io["output.vision.pooler_output"], tolerance);
  });
});

describe.each(["eva-gelu", "eva-no-bias", "eva-one-head"])("%s against transformers", (name) => {
  const file = new URL(`__vectors__/${name}.safetensors`, import.meta.url);

  async function load(options: EvaOptions): Promise<EvaVisionEncoder> {
    const { config } = await readMetadata(file);
    const encoder = eva(config as object, options);
    loadBlip2(encoder, await openSafetensors(file.pathname));
    return encoder;
  }

  test.each(["onnxruntime", "portable"] as const)("every block, and other sizes, %s", async (target) => {
    const vectors = await readTensors(file);
    const { sizes, noise } = (await readMetadata(file)) as { sizes: readonly (readonly [number, number])[]; noise: number };
    const near = { abs: Math.max(1e-5, 4 * noise), rel: 1e-4 };
    const results = await runGraph(graphOf(await load({})), { pixel_values: need(vectors, "input.pixel_values") }, target);
    const blocks = Object.keys(vectors).filter((key) => key.startsWith("output.block."));
    for (const key of blocks) expectClose(results[`block_${key.slice(13)}`], vectors[key], near);
    expect(Object.keys(results)).toHaveLength(2 + blocks.length);
    expectClose(results.features, vectors["output.last_hidden_state"], near);
    for (const [height, width] of sizes) {
      const run = await compileGraph(graphOf(await load({ image_size: { height, width } })), target);
      const { features } = await run({ pixel_values: need(vectors, `input.pixel_values.${height}x${width}`) });
      expectClose(features, vectors[`output.last_hidden_state.${height}x${width}`], near);
    }
  });
});

describe("the bias of qkv in one tensor", () => {
  const key = "vision_model.encoder.layers.4.self_attn.qkv.bias";
  const values = Float32Array.from([1, 2, 3, 4, 5, 6]);
  const source: WeightSource = {
    dtype: "float32",
    shape: [6],
    fingerprint: "f",
    location: { path: "w", offset: 100, byteLength: 24 },
    read: async () => new Uint8Array(values.buffer),
  };

  test("its thirds are those of queries and values, mapped where they lie", async () => {
    const parts = splitQkvBias(new Map([[key, source]]));
    expect([...parts.keys()].map(blip2VisionKey)).toEqual(["visual_encoder.blocks.4.attn.q_bias", "visual_encoder.blocks.4.attn.v_bias"]);
    const [q, v] = [...parts.values()];
    expect([q?.shape, q?.location]).toEqual([[2], { path: "w", offset: 100, byteLength: 8 }]);
    expect([v?.shape, v?.location]).toEqual([[2], { path: "w", offset: 116, byteLength: 8 }]);
    expect(await q?.read()).toEqual(new Uint8Array(Float32Array.from([1, 2]).buffer));
    expect(await v?.read()).toEqual(new Uint8Array(Float32Array.from([5, 6]).buffer));
    expect(new Set([q?.fingerprint, v?.fingerprint, "f"]).size).toBe(3);
  });

  test("a wrong one stays as it is, so that loading names it", () => {
    const wrong = { ...source, shape: [7] };
    expect(splitQkvBias(new Map([[key, wrong]]))).toEqual(new Map([[key, wrong]]));
    expect(blip2VisionKey(key)).toBe("visual_encoder.blocks.4.attn.qkv.bias");
    expect(blip2VisionKey("qformer.layernorm.weight")).toBeNull();
  });
});

describe("mistakes", () => {
  test("all of a config's are listed at once", () => {
    expect(() =>
      eva({ hidden_size: 30, num_attention_heads: 4, image_size: 8, patch_size: 9, qkv_bias: 1, ln_vision_eps: 0 }),
    ).toThrowErrorMatchingInlineSnapshot(`
        [ConfigError: EvaVisionConfig: qkv_bias: expected true or false, got 1.
          ln_vision_eps: expected a number above 0, got 0.]
      `);
    expect(() => eva({ hidden_size: 30, num_attention_heads: 4, image_size: 8, patch_size: 9 })).toThrowErrorMatchingInlineSnapshot(`
      [ConfigError: EvaVisionConfig: num_attention_heads: expected a divisor of hidden_size 30, got 4.
        patch_size: expected at most image_size 8, got 9.]
    `);
    expect(() => eva(tiny, { classToken: "maybe" as never, image_size: 5 })).toThrowErrorMatchingInlineSnapshot(`
      [ConfigError: eva: image_size: expected a height from patch_size 14 to 16384 (the limit), got 5.
        image_size: expected a width from patch_size 14 to 16384 (the limit), got 5.
        classToken: expected "drop" or "keep", got "maybe".]
    `);
    expect(() => eva(tiny, { layer: -2 } as EvaOptions)).toThrow(/eva: layer: is not an option. There are: classToken, image_size/);
  });

  test("pictures of another size, and a file with other positions", () => {
    const pixel_values = input("pixel_values", "float32", [1, 3, 84, 84]);
    expect(() => eva(tiny).forward(pixel_values)).toThrow(/EvaVisionEncoder: expected pixel_values of 56×56, got 84×84/);
    const other = eva({ ...tiny, image_size: 28, num_hidden_layers: 2, qkv_bias: false });
    initialize(other, { seed: 1 });
    const tensors = new Map([...other.namedParameters()].flatMap(([path, { source }]) => (source ? [[path, source] as const] : [])));
    expect(() => loadStateDict(eva({ ...tiny, num_hidden_layers: 2 }), { source: "file", tensors })).toThrowErrorMatchingInlineSnapshot(`
      [StateDictError: EvaVisionEncoder ← file: 4 missing, 1 mismatched of 28 keys; nothing was loaded
        missing     visual_encoder.blocks.*.attn.q_bias (2 keys)  not in the file. Build with qkv_bias: false.
        missing     visual_encoder.blocks.*.attn.v_bias (2 keys)  not in the file. Build with qkv_bias: false.
        mismatch    visual_encoder.pos_embed  module [1, 17, 40], file [1, 5, 40]. image_size 56 and patch_size 14 must be those the file was trained with; another size of pictures is the option image_size.]
    `);
    expect(() =>
      loadStateDict(eva({ ...tiny, image_size: 28, qkv_bias: false, num_hidden_layers: 1 }), { source: "file", tensors }),
    ).toThrow(/unexpected {2}visual_encoder\.blocks\.1\.[\s\S]*Compare the number of layers \(1\)/);
  });
});

test("widths are literal where the config has one", () => {
  expectTypeOf(eva(tiny)).toEqualTypeOf<EvaVisionEncoder<40>>();
  expectTypeOf(eva({})).toEqualTypeOf<EvaVisionEncoder<number>>();
  expect(eva({ num_hidden_layers: 1 }).hidden_size).toBe(1408);
});
