import { readFile } from "node:fs/promises";
import { openSafetensors } from "@waggle/checkpoint";
import { input, symbol, type Value } from "@waggle/graph";
import { loadStateDict, setRecompute } from "@waggle/nn";
import { describe, expect, test } from "vitest";
import { expectGradients } from "../../../testing/gradients.ts";
import { runGraph } from "../../../testing/run-graph.ts";
import { expectClose, readTensors } from "../../../testing/tensors.ts";
import { cAbstractor, dAbstractor, honeybeeMlp, type Projector, type ProjectorFactory, QFormer, resampler } from "./index.ts";

const golden = new URL("../../../golden/", import.meta.url).pathname;

interface Case {
  readonly dims: {
    readonly encoder_hidden_size: number;
    readonly output_hidden_size: number;
    readonly grid: readonly [number, number];
    readonly num_query_tokens: number;
    readonly num_visual_tokens: number;
  };
  readonly tolerance: { readonly output_abs: number };
  readonly noise_f32_vs_f64: { readonly "grad.params.relative_to_tensor_max": number };
}

/** The fields of the case's config.json that a projector has. */
async function options(name: string, fields: readonly string[]): Promise<Record<string, never>> {
  const config = JSON.parse(await readFile(`${golden}${name}/config.json`, "utf8")) as Record<string, never>;
  return Object.fromEntries(fields.filter((field) => config[field] !== undefined).map((field) => [field, config[field] as never]));
}

const factories: Record<string, (tokens: number, name: string) => Promise<ProjectorFactory>> = {
  linear: async (_, name) => honeybeeMlp(await options(name, ["depth"])),
  mlp: async (_, name) => honeybeeMlp(await options(name, ["depth"])),
  "c-abs": async (tokens, name) =>
    cAbstractor({ tokens, ...(await options(name, ["depth", "mlp_depth", "hidden_size", "pos_emb", "prenorm", "num_eos_tokens"])) }),
  resampler: async (tokens, name) =>
    resampler({
      tokens,
      ...(await options(name, [
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "intermediate_size",
        "layer_norm_eps",
        "pos_emb",
        "num_eos_tokens",
      ])),
    }),
  "d-abs": async (tokens, name) => {
    const fields = [
      "d_model",
      "decoder_layers",
      "decoder_attention_heads",
      "decoder_ffn_dim",
      "decoder_n_points",
      "num_feature_levels",
      "pooled_v_target",
      "num_eos_tokens",
    ];
    return dAbstractor({ tokens, ...(await options(name, fields)) });
  },
};
const cases = ["linear", "mlp", "c-abs", "c-abs-downsample", "c-abs-identity-pool", "resampler", "d-abs-query", "d-abs-none"];

async function built(kind: string): Promise<{
  projector: Projector;
  io: Awaited<ReturnType<typeof readTensors>>;
  tolerance: { abs: number; rel: number };
  noise: (largest: number) => number;
  tokens: number;
}> {
  const name = `honeybee-projector-${kind}`;
  const { dims, tolerance, noise_f32_vs_f64 } = JSON.parse(await readFile(`${golden}${name}/expected.json`, "utf8")) as Case;
  const factory = factories[Object.keys(factories).findLast((key) => kind.startsWith(key)) ?? ""] ?? expect.unreachable(kind);
  const make = await factory(dims.num_query_tokens, name);
  const projector = make(dims.encoder_hidden_size, dims.output_hidden_size, { rows: dims.grid[0], columns: dims.grid[1] });
  loadStateDict(projector, await openSafetensors(`${golden}${name}/model.safetensors`), { prefix: "abstractor" });
  return {
    projector,
    io: await readTensors(`${golden}${name}/io.safetensors`),
    tolerance: { abs: tolerance.output_abs, rel: 1e-4 },
    noise: (largest) => noise_f32_vs_f64["grad.params.relative_to_tensor_max"] * largest,
    tokens: dims.num_visual_tokens,
  };
}

const features = (io: Awaited<ReturnType<typeof readTensors>>): Value =>
  input("features", "float32", [symbol("B"), ...(io["input.features"]?.dims.slice(1) ?? [])]);

describe.each(["onnxruntime", "portable"] as const)("%s", (target) => {
  test.each(cases)("honeybee-projector-%s equals the original", async (kind) => {
    const { projector, io, tolerance, tokens } = await built(kind);
    const x = features(io);
    const y = projector.forward(x);
    expect(y.shape[1]).toBe(tokens);
    expect(projector.tokenCount(Number(x.shape[1]))).toBe(tokens);
    const result = await runGraph(
      { inputs: { features: x }, outputs: { y } },
      { features: io["input.features"] ?? expect.unreachable() },
      target,
    );
    expectClose(result.y, io["output.features"], tolerance);
  });

  const layered = ["resampler", "d-abs-query", "d-abs-none"];
  const ways = [...cases.map((kind) => [kind, false] as const), ...layered.map((kind) => [kind, true] as const)];
  test.each(ways)(
    "honeybee-projector-%s: the gradients of its input and of every parameter; layers recomputed: %s",
    async (kind, recomputed) => {
      const { projector, io, noise } = await built(kind);
      setRecompute(projector, recomputed);
      const x = features(io);
      const by = [["input.features", x] as const, ...projector.namedParameters("abstractor")];
      const feeds = { features: io["input.features"] ?? expect.unreachable() };
      await expectGradients({ io, inputs: { features: x }, feeds, output: projector.forward(x), by, noise }, target);
    },
  );

  async function qFormerOfCase(): Promise<QFormer<number, number>> {
    const { dims } = JSON.parse(await readFile(`${golden}minigpt4-qformer/expected.json`, "utf8")) as { dims: Record<string, number> };
    const {
      hidden_size = 0,
      num_hidden_layers = 0,
      num_attention_heads = 0,
      intermediate_size = 0,
      cross_attention_freq = 0,
      num_query_token: tokens = 0,
      encoder_width = 0,
    } = dims;
    const projector = new QFormer(encoder_width, 16, {
      tokens,
      hidden_size,
      num_hidden_layers,
      num_attention_heads,
      intermediate_size,
      cross_attention_freq,
    });
    loadStateDict(projector.Qformer, await openSafetensors(`${golden}minigpt4-qformer/model.safetensors`), {
      prefix: "Qformer",
      rename: (key) => (key.startsWith("Qformer.") ? key : null),
    });
    projector.query_tokens.source =
      (await openSafetensors(`${golden}minigpt4-qformer/model.safetensors`)).tensors.get("query_tokens") ?? null;
    return projector;
  }

  test("minigpt4-qformer equals the original", async () => {
    const io = await readTensors(`${golden}minigpt4-qformer/io.safetensors`);
    const x = input("x", "float32", [symbol("B"), 17, 40]);
    const result = await runGraph(
      { inputs: { x }, outputs: { y: (await qFormerOfCase()).encode(x).hidden } },
      { x: io["input.image_embeds"] ?? expect.unreachable() },
      target,
    );
    expectClose(result.y, io["output.last_hidden_state"], { abs: 2e-5, rel: 1e-4 });
  });

  test.each([false, true])(
    "minigpt4-qformer: the gradients of the picture, the queries and every parameter; layers recomputed: %s",
    async (recomputed) => {
      const io = await readTensors(`${golden}minigpt4-qformer/io.safetensors`);
      const x = input("x", "float32", [symbol("B"), 17, 40]);
      const projector = await qFormerOfCase();
      setRecompute(projector, recomputed);
      const by = [
        ["input.image_embeds", x],
        ["query_tokens", projector.query_tokens],
        ...projector.Qformer.namedParameters("Qformer"),
      ] as const;
      const feeds = { x: io["input.image_embeds"] ?? expect.unreachable() };
      await expectGradients({ io, inputs: { x }, feeds, output: projector.encode(x).hidden, by }, target);
    },
  );
});
