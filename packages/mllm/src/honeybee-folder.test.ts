/** Honeybee's folders in other forms: the configuration of May 2024, positions without the class token's row, every kind of projector; and wrong ones. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openCheckpoint, writeSafetensors } from "@waggle/checkpoint";
import { CAbstractor, DAbstractor, HoneybeeMlp, Resampler } from "@waggle/projectors";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { honeybeeComposition, honeybeeKey } from "./honeybee.ts";
import { readHoneybeeConfig } from "./honeybee-config.ts";
import { image, inspect, load } from "./index.ts";

type Config = Record<string, unknown> & {
  vision_config: Record<string, unknown>;
  text_config: Record<string, unknown>;
  visual_projector_config?: Record<string, unknown>;
};

const golden = (kind: string) => fileURLToPath(new URL(`../../../golden/honeybee-tiny-${kind}/`, import.meta.url));
const configOf = (kind: string): Config => JSON.parse(readFileSync(join(golden(kind), "config.json"), "utf8"));
const { prompts, tokens } = JSON.parse(readFileSync(join(golden("c-abs"), "expected.json"), "utf8")).runs.one_image;

let temporary: string;
let count = 0;
beforeAll(() => {
  temporary = mkdtempSync(join(tmpdir(), "waggle-honeybee-"));
});
afterAll(() => rmSync(temporary, { recursive: true }));

/** A copy of a golden folder with another configuration, and without the files that `without` names. */
function variant(change: (config: Config) => unknown, { kind = "c-abs", without = /^$/ } = {}): string {
  const copy = join(temporary, `folder-${count++}`);
  const skipped = /(expected\.json|io\.safetensors|\.(png|jpg|md))$/;
  cpSync(golden(kind), copy, { recursive: true, filter: (path) => !skipped.test(path) && !without.test(path) });
  const config = configOf(kind);
  writeFileSync(join(copy, "config.json"), JSON.stringify(change(config) ?? config));
  return copy;
}

/** As the code of May 2024 writes it. */
function newSpelling({ visual_projector_config, num_query_tokens, hidden_size, ...config }: Config): Config {
  const { num_queries, ...projector } = visual_projector_config ?? {};
  const means = { image_mean: [0.48145466, 0.4578275, 0.40821073], image_std: [0.26862954, 0.26130258, 0.27577711] };
  return {
    ...config,
    model_type: "",
    vision_config: { ...config.vision_config, ...means },
    projector_config: { ...projector, num_query_tokens, output_hidden_size: 48 },
  } as Config;
}

async function expectAnswer(folder: string): Promise<void> {
  using model = await load(folder, { threads: 1 });
  const picture = image(join(golden("c-abs"), "picture-a.png"));
  expect([(await model.generate(prompts[0], { images: [picture], max_new_tokens: 24 })).tokenIds]).toEqual(tokens);
}

describe("folders that say the same", () => {
  test("config.json as the code of May 2024 writes it", () => expectAnswer(variant(newSpelling)));

  test("num_query_tokens counts, whatever num_queries says; without architectures model_type does", () =>
    expectAnswer(
      variant((config) => {
        Object.assign(config.visual_projector_config ?? {}, { num_queries: 300 });
        Reflect.deleteProperty(config, "architectures");
      }),
    ));

  test("safetensors, positions without the class token's row, nothing to pass over", async () => {
    const folder = variant(newSpelling, { without: /pytorch_model/ });
    const { tensors } = await openCheckpoint(golden("c-abs"));
    const kept = [...tensors.values()].filter(({ name }) => !/(position_ids|inv_freq|pos_emb)$/.test(name));
    expect(kept).toHaveLength(tensors.size - 4);
    const positions = tensors.get("abstractor.pos_emb");
    if (positions === undefined) throw new Error("no positions");
    expect(positions.shape).toEqual([1, 17, 32]);
    const read = async () => (await positions.read()).slice(32 * 2);
    const written = [...kept, { name: positions.name, dtype: positions.dtype, shape: [1, 16, 32], read }];
    await writeSafetensors(join(folder, "model.safetensors"), written);
    await expectAnswer(folder);
  });

  test("without a tokenizer, as the released folders are: config.json names it", async () => {
    const lm_config = { pretrained_tokenizer_name_or_path: golden("c-abs") };
    const without = /(tokenizer\.model|tokenizer_config\.json|special_tokens_map\.json)$/;
    await expectAnswer(variant((config) => Object.assign(config, { lm_config }), { without }));
    const nameless = variant((config) => Object.assign(config, { lm_config: null }), { without });
    await expect(load(nameless)).rejects.toMatchObject({ name: "TokenizerError", code: "not_found" });
  });
});

describe("every kind of projector", () => {
  const built = (projector: Record<string, unknown>) => {
    const { visual_projector_config, num_query_tokens, ...config } = configOf("c-abs");
    return honeybeeComposition(readHoneybeeConfig({ ...config, projector_config: projector }, "config.json"));
  };

  test.each([
    [{ projector_type: "mlp", depth: 1 }, HoneybeeMlp, 16, 32 * 48 + 48],
    [
      { projector_type: "mlp", depth: 3, prenorm: true, num_eos_tokens: 2 },
      HoneybeeMlp,
      18,
      32 * 48 + 48 + 2 * (48 * 48 + 48) + 2 * 32 + 2 * 48,
    ],
    [
      { projector_type: "resampler", num_query_tokens: 7, hidden_size: 32, num_hidden_layers: 1, intermediate_size: 64 },
      Resampler,
      7,
      null,
    ],
    [{ projector_type: "c-abs", num_query_tokens: 4, depth: 0, mlp_depth: 1, pos_emb: 0 }, CAbstractor, 4, 32 * 48 + 48],
    [{ projector_type: "c-abs", num_queries: 16, depth: 1, hidden_size: 24 }, CAbstractor, 16, null],
    [
      {
        projector_type: "d-abs",
        num_query_tokens: 4,
        d_model: 16,
        decoder_layers: 1,
        pooled_v_target: "tgt",
        pos_emb: 1,
        num_eos_tokens: 1,
      },
      DAbstractor,
      5,
      null,
    ],
  ])("%j", (projector, type, visualTokens, parameters) => {
    const { modules, tokensPerImage } = built({ ...projector, feature_layer_index: -1 });
    expect(modules.multi_modal_projector).toBeInstanceOf(type);
    expect(tokensPerImage).toBe(visualTokens);
    if (parameters !== null) expect(modules.multi_modal_projector.parameterCount()).toBe(parameters);
  });

  test.each(["linear", "mlp", "resampler", "c-abs", "d-abs-none"])("keys of golden/honeybee-projector-%s", async (name) => {
    const folder = fileURLToPath(new URL(`../../../golden/honeybee-projector-${name}/`, import.meta.url));
    const { dims } = JSON.parse(readFileSync(join(folder, "expected.json"), "utf8"));
    const { visual_projector_config, ...config } = configOf("c-abs");
    const projector_config = JSON.parse(readFileSync(join(folder, "config.json"), "utf8"));
    const vision_config = { ...config.vision_config, hidden_size: dims.encoder_hidden_size, image_size: 14 * dims.grid[0] };
    const text_config = { ...config.text_config, hidden_size: dims.output_hidden_size };
    const whole = { ...config, vision_config, text_config, projector_config, num_query_tokens: dims.num_query_tokens };
    const { modules, tokensPerImage } = honeybeeComposition(readHoneybeeConfig(whole, "config.json"));
    const { tensors } = await openCheckpoint(folder);
    const paths = Array.from(modules.multi_modal_projector.namedParameters(), ([path, { shape }]) => [
      `multi_modal_projector.${path}`,
      shape,
    ]);
    expect(new Map(paths as [string, readonly number[]][])).toEqual(
      new Map(Array.from(tensors, ([key, { shape }]) => [honeybeeKey(key), shape])),
    );
    expect(tokensPerImage).toBe(dims.num_visual_tokens);
  });
});

describe("wrong folders: one error, and nothing loaded", () => {
  const spelling = "visual_projector_config";
  test.each([
    [
      { num_query_tokens: 10 },
      {},
      `${spelling}.num_query_tokens: expected a square number of visual tokens (the pool is √M × √M), got 10.`,
    ],
    [{}, { feature_layer_index: [-2, -1] }, `${spelling}.feature_layer_index: several layers ([-2,-1]) cannot run in the original either`],
    [{}, { feature_layer_index: undefined }, `${spelling}.feature_layer_index: expected the index of a hidden state`],
    [{}, { feature_layer_index: -5 }, "expected a whole number from -4 to 3 (3 layers), got -5"],
    [{}, { projector_type: "q-former" }, `${spelling}.projector_type`],
    [{}, { projector_type: "d-abs", num_feature_levels: 4 }, `${spelling}.num_feature_levels: 4 feature levels cannot run`],
    [{}, { depth: "three" }, `${spelling}.depth`],
    [{ num_query_tokens: null }, { num_queries: null }, `${spelling}.num_query_tokens: is missing`],
    [{ [spelling]: null }, {}, "projector_config: is missing: it says what the projector is."],
    [{ vision_config: { encoder_type: "eva" } }, {}, "vision_config.encoder_type: expected openai.clip"],
    [{ text_config: { model_type: "gpt_neox" } }, {}, "text_config.model_type: expected llama"],
  ])("%j %j", async (fields, projector, message) => {
    const folder = variant((config) => {
      Object.assign(config.visual_projector_config ?? {}, projector);
      Object.assign(config, fields);
    });
    await expect(load(folder)).rejects.toMatchObject({ code: "config", message: expect.stringContaining(message) });
  });

  test("a projector of another kind than the configuration says", async () => {
    const { visual_projector_config } = configOf("d-abs");
    const folder = variant((config) => Object.assign(config, { visual_projector_config }));
    const message = `${folder}: projector_type: is d-abs, but the weights hold a c-abs (abstractor.readout.0.weight).`;
    await expect(load(folder)).rejects.toMatchObject({ code: "config", message });
    await expect(inspect(folder)).rejects.toMatchObject({ code: "config", message });
  });

  test("a missing shard, by its name", async () => {
    const folder = variant(() => {}, { without: /00002-of-00003/ });
    await expect(load(folder)).rejects.toMatchObject({
      name: "CheckpointError",
      code: "missing_shard",
      message: expect.stringContaining("pytorch_model-00002-of-00003.bin"),
    });
  });

  test("weights of other sizes, under the file's names", async () => {
    const folder = variant((config) => void Object.assign(config.visual_projector_config ?? {}, { depth: 2 }));
    await expect(load(folder)).rejects.toMatchObject({
      code: "state_dict",
      message: expect.stringContaining("unexpected  abstractor.net.*.b3.conv1.bn.bias (2 keys)"),
    });
    const larger = variant((config) => void Object.assign(config.vision_config, { image_size: 70 }));
    await expect(load(larger)).rejects.toMatchObject({
      message: expect.stringContaining("multi_modal_projector.pos_emb  module [1, 25, 32], file bfloat16 [1, 17, 32]"),
    });
  });

  test("the architecture of another", async () => {
    const folder = variant((config) => Object.assign(config, { architectures: ["MllmForRetrieval"] }));
    await expect(load(folder)).rejects.toMatchObject({ message: expect.stringContaining("mllm (MllmForRetrieval) is not supported") });
  });
});
