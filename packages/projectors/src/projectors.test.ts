import { openSafetensors } from "@waggle/checkpoint";
import { constant, grad, input, lower, ops, ShapeError, symbol, type Value } from "@waggle/graph";
import { ConfigError, initialize, Linear, loadStateDict, Module, setRecompute } from "@waggle/nn";
import { describe, expect, test } from "vitest";
import { runGraph } from "../../../testing/run-graph.ts";
import { expectClose, float32, readTensors } from "../../../testing/tensors.ts";
import {
  blip2QFormerKey,
  cAbstractor,
  checkProjector,
  dAbstractor,
  groupedLinear,
  honeybeeMlp,
  linear,
  mlp,
  type Projector,
  type ProjectorFactory,
  pixelShuffleProjector,
  qFormer,
  resampler,
} from "./index.ts";

const golden = new URL("../../../golden/", import.meta.url).pathname;
const grid = { rows: 4, columns: 6 };
const all: Record<string, ProjectorFactory> = {
  linear: linear(),
  mlp: mlp({ depth: 3 }),
  honeybeeMlp: honeybeeMlp({ pos_emb: true, prenorm: true, num_eos_tokens: 2 }),
  cAbstractor: cAbstractor({ tokens: 9, hidden_size: 10, depth: 1, num_eos_tokens: 1 }),
  "cAbstractor, depth 0": cAbstractor({ tokens: 4, depth: 0 }),
  "cAbstractor, more tokens than patches": cAbstractor({ tokens: 49, depth: 1 }),
  dAbstractor: dAbstractor({ tokens: 4, d_model: 8, decoder_layers: 1, decoder_attention_heads: 2, decoder_ffn_dim: 8 }),
  "dAbstractor, tgt": dAbstractor({
    tokens: 4,
    d_model: 16,
    decoder_layers: 1,
    decoder_attention_heads: 2,
    decoder_ffn_dim: 8,
    pooled_v_target: "tgt",
    num_eos_tokens: 1,
  }),
  resampler: resampler({
    tokens: 5,
    hidden_size: 8,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    intermediate_size: 8,
    num_eos_tokens: 1,
  }),
  qFormer: qFormer({ tokens: 3, hidden_size: 8, num_hidden_layers: 3, num_attention_heads: 2, intermediate_size: 8 }),
  pixelShuffle: pixelShuffleProjector({ scale_factor: 2 }),
  groupedLinear: groupedLinear({ group: 3 }),
};

describe.each(Object.entries(all))("%s", (_, factory) => {
  test("keeps its word on a grid that is not square, and a picture's tokens do not depend on the batch", async () => {
    const projector = factory(12, 16, grid);
    checkProjector(projector, 24);
    initialize(projector, { seed: 3 });
    const features = input("features", "float32", [symbol("B"), 24, 12]);
    const graph = { inputs: { features }, outputs: { y: projector.forward(features) } };
    const data = Float32Array.from({ length: 2 * 24 * 12 }, (_, i) => Math.sin(i));
    const both = await runGraph(graph, { features: float32(data, [2, 24, 12]) });
    const second = await runGraph(graph, { features: float32(data.slice(24 * 12), [1, 24, 12]) });
    const T = projector.tokenCount(24);
    expect(both.y?.dims).toEqual([2, T, 16]);
    const rows = (both.y?.data ?? new Float32Array()) as Float32Array;
    expectClose(second.y, float32(rows.slice(T * 16), [1, T, 16]));
  });

  test("says which width and how many patches it was built for", () => {
    expect(() => factory(12, 16, grid).forward(input("x", "float32", [1, 24, 13]))).toThrow(/expected features of width 12, got 13/);
  });
});

test("the pixel shuffle puts the patches of a block in reading order", async () => {
  const projector = pixelShuffleProjector({ scale_factor: 2 })(1, 4, { rows: 2, columns: 4 });
  for (const [, parameter] of projector.namedParameters()) {
    const identity = new Uint8Array(Float32Array.from({ length: 16 }, (_, i) => (i % 5 === 0 ? 1 : 0)).buffer);
    parameter.source = { dtype: "float32", shape: [4, 4], fingerprint: "identity", read: async () => identity };
  }
  const x = input("x", "float32", [1, 8, 1]);
  const { y } = await runGraph(
    { inputs: { x }, outputs: { y: projector.forward(x) } },
    { x: float32([0, 1, 2, 3, 4, 5, 6, 7], [1, 8, 1]) },
  );
  expect(Array.from((y?.data ?? []) as Float32Array)).toEqual([0, 1, 4, 5, 2, 3, 6, 7]);
});

test("several feature levels of the D-Abstractor equal as many calls of torch's grid_sample", async () => {
  const file = await readTensors(new URL("./__vectors__/d-abs-levels.safetensors", import.meta.url).pathname);
  const projector = dAbstractor({
    tokens: 4,
    d_model: 8,
    decoder_layers: 1,
    decoder_attention_heads: 2,
    decoder_ffn_dim: 8,
    decoder_n_points: 3,
    num_feature_levels: 2,
    pooled_v_target: "none",
  })(8, 8, { rows: 3, columns: 5 });
  loadStateDict(projector, await openSafetensors(new URL("./__vectors__/d-abs-levels.safetensors", import.meta.url).pathname), {
    prefix: "abstractor",
    rename: (key) => (key.startsWith("abstractor.") ? key : null),
  });
  const features = input("features", "float32", [symbol("B"), 2, 15, 8]);
  const { y } = await runGraph(
    { inputs: { features }, outputs: { y: projector.forward(features) } },
    { features: file["input.features"] ?? expect.unreachable() },
  );
  expectClose(y, file["output.features"], { abs: 2e-5 });
});

describe("explain", () => {
  test("the Resampler's and D-Abstractor's maps are the original's", async () => {
    const { maps, io, B } = await explained(
      "honeybee-projector-resampler",
      resampler({ tokens: 9, hidden_size: 32, num_hidden_layers: 2, num_attention_heads: 4, intermediate_size: 64, pos_emb: true }),
      [40, 48, 4],
    );
    const whole = io["output.cross_attentions.1"]?.data as Float32Array; // [B, 4 heads, 9, 9 + 16]
    const wanted = Float32Array.from({ length: B * 9 * 16 }, (_, i) => {
      const [b, t, n] = [Math.floor(i / 144), Math.floor(i / 16) % 9, i % 16];
      return [0, 1, 2, 3].reduce((sum, head) => sum + (whole[((b * 4 + head) * 9 + t) * 25 + 9 + n] ?? 0) / 4, 0);
    });
    expectClose(maps.weights, float32(wanted, [B, 9, 16]));
    const deformed = await explained(
      "honeybee-projector-d-abs-query",
      dAbstractor({ tokens: 16, d_model: 32, decoder_layers: 2, decoder_attention_heads: 4, decoder_ffn_dim: 32, decoder_n_points: 4 }),
      [32, 48, 6],
    );
    const { "output.sampling_locations.1": locations, "output.cross_attentions.1": weights } = deformed.io;
    expectClose(deformed.maps.locations, float32(locations?.data as Float32Array, [2, 16, 16, 2]));
    expectClose(
      deformed.maps.weights,
      float32(
        Float32Array.from((weights?.data ?? []) as Float32Array, (weight) => weight / 4),
        [2, 16, 16],
      ),
    );
  });

  test("the C-Abstractor's bins are those of torch's adaptive pool", async () => {
    const maps =
      cAbstractor({ tokens: 9 })(4, 4, { rows: 4, columns: 4 }).explain?.(input("x", "float32", [1, 16, 4])) ?? expect.unreachable();
    const { weights } = await runGraph({ inputs: {}, outputs: { weights: ops.mul(maps.weights, 1) } }, {});
    expect(Array.from((weights?.data ?? []) as Float32Array).slice(0, 16)).toEqual([
      0.25, 0.25, 0, 0, 0.25, 0.25, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ]); // bins 0–2, 1–3, 2–4
  });
});

async function explained(name: string, factory: ProjectorFactory, [C, D, side]: readonly [number, number, number]) {
  const projector = factory(C, D, { rows: side, columns: side });
  loadStateDict(projector, await openSafetensors(`${golden}${name}/model.safetensors`), { prefix: "abstractor" });
  const io = await readTensors(`${golden}${name}/io.safetensors`);
  const x = io["input.features"] ?? expect.unreachable();
  const features = input("features", "float32", x.dims);
  const { kind: _, ...outputs } = projector.explain?.(features) ?? expect.unreachable();
  return {
    maps: await runGraph({ inputs: { features }, outputs: outputs as Record<string, Value> }, { features: x }),
    io,
    B: x.dims[0] ?? 0,
  };
}

describe("a projector that does not keep its word is told so by name", () => {
  class Careless extends Module implements Projector<8, 4> {
    readonly vision_hidden_size = 8;
    readonly text_hidden_size = 4;
    readonly proj: Linear = new Linear(8, 4);
    readonly #change: (y: Value) => Value;
    constructor(change: (y: Value) => Value) {
      super();
      this.#change = change;
    }
    tokenCount(patches: number): number {
      return patches;
    }
    forward(x: Value): Value {
      return this.#change(this.proj.forward(x));
    }
  }
  test.each([
    ["tokens", (y: Value) => ops.slice(y, { axis: 1, end: 3 })],
    ["width", (y: Value) => ops.concat([y, y], 2)],
    ["batch", (y: Value) => ops.add(ops.reduceMean(y, { axes: [0], keepDims: true }), 0)],
    ["axes", (y: Value) => ops.reduceMean(y, { axes: [1] })],
    ["type", (y: Value) => ops.cast(y, "float64")],
    ["everything", () => constant(new Float32Array(2 * 3 * 5), { shape: [2, 3, 5] })],
  ])("%s", (_, change) => {
    expect(() => checkProjector(new Careless(change), 16)).toThrowErrorMatchingSnapshot();
  });

  test("a forward that forgets its return", () => {
    const forgetful = new Careless(() => undefined as never);
    expect(() => checkProjector(forgetful, 16)).toThrow(
      "Careless: forward: expected a symbolic value, the visual tokens, but it returns undefined.",
    );
  });
});

test.each([
  ["M without an integer square root", () => cAbstractor({ tokens: 10 })],
  ["M without an integer square root, D", () => dAbstractor({ tokens: 12 })],
  ["an unknown option", () => cAbstractor({ tokens: 9, detph: 2 } as never)],
  ["several wrong sizes", () => resampler({ tokens: 0, hidden_size: 30, num_attention_heads: 4 })],
  ["pooled levels", () => dAbstractor({ tokens: 9, num_feature_levels: 2 })],
  ["an unknown mode", () => dAbstractor({ tokens: 9, pooled_v_target: "both" as never })],
])("%s is a ConfigError", (_, make) => {
  expect(make).toThrow(ConfigError);
  expect(make).toThrowErrorMatchingSnapshot();
});

test("a grid that does not divide", () => {
  const projector = pixelShuffleProjector({ scale_factor: 2 })(4, 4, { rows: 3, columns: 4 });
  expect(() => projector.forward(input("x", "float32", [1, 12, 4]))).toThrow(ShapeError);
  expect(() => groupedLinear({ group: 5 })(4, 4, grid)).toThrow(ShapeError);
});

test("Hugging Face's keys of a Q-Former", () => {
  expect(blip2QFormerKey("qformer.encoder.layer.0.crossattention.attention.query.weight")).toBe(
    "Qformer.bert.encoder.layer.0.crossattention.self.query.weight",
  );
  expect(blip2QFormerKey("qformer.encoder.layer.1.attention.output.LayerNorm.bias")).toBe(
    "Qformer.bert.encoder.layer.1.attention.output.LayerNorm.bias",
  );
  expect(blip2QFormerKey("qformer.layernorm.weight")).toBe("Qformer.bert.embeddings.LayerNorm.weight");
  expect(blip2QFormerKey("language_projection.bias")).toBe("llama_proj.bias");
  expect(blip2QFormerKey("vision_model.post_layernorm.bias")).toBeNull();
});

describe("layers recomputed", () => {
  test.each(["dAbstractor", "dAbstractor, tgt", "resampler", "qFormer"])(
    "%s: the same loss and gradients, of layers that are forgotten",
    async (name) => {
      const projector = all[name]?.(12, 16, grid) ?? expect.unreachable(name);
      initialize(projector, { seed: 3 });
      const feeds = {
        features: float32(
          Float32Array.from({ length: 2 * 24 * 12 }, (_, i) => Math.sin(i)),
          [2, 24, 12],
        ),
      };
      const gradients = async (on: boolean) => {
        setRecompute(projector, on);
        const features = input("features", "float32", [2, 24, 12]);
        const tokens = projector.forward(features);
        const loss = ops.reduceSum(ops.mul(tokens, ops.sin(tokens)));
        const by = [features, ...Array.from(projector.namedParameters(), ([, parameter]) => parameter)];
        const outputs = Object.fromEntries([loss, ...grad(loss, by)].map((value, i) => [`${i}`, value]));
        const graph = { inputs: { features }, outputs };
        return { size: lower(graph, "onnxruntime").nodes.length, results: await runGraph(graph, feeds) };
      };
      const [kept, again] = [await gradients(false), await gradients(true)];
      expect(again.size).toBeGreaterThan(1.2 * kept.size); // every layer is written a second time
      for (const [i, value] of Object.entries(kept.results)) expectClose(again.results[i], value, { abs: 1e-5, rel: 1e-4 });
    },
  );
});
