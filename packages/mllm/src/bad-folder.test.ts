import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openCheckpoint, writeSafetensors } from "@waggle/checkpoint";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { inspect, type LoadOptions, load, type MultimodalModel } from "./index.ts";

const llava = fileURLToPath(new URL("../../../golden/llava-tiny-hf", import.meta.url));

let temporary: string;
beforeAll(() => {
  temporary = mkdtempSync(join(tmpdir(), "waggle-bad-"));
});
afterAll(() => rmSync(temporary, { recursive: true }));

let count = 0;
async function broken(change: (folder: string) => void | Promise<void>): Promise<string> {
  const folder = join(temporary, String(count++));
  cpSync(llava, folder, { recursive: true, filter: (path) => !/(expected\.json|io\.safetensors)$/.test(path) });
  await change(folder);
  return folder;
}

function edit(file: string, change: (json: Record<string, unknown>) => unknown): (folder: string) => void {
  return (folder) => {
    const path = join(folder, file);
    const json = JSON.parse(readFileSync(path, "utf8"));
    writeFileSync(path, JSON.stringify(change(json) ?? json));
  };
}

/** What load() rejects with; it must not resolve. */
async function failure(folder: string, options?: LoadOptions): Promise<Error> {
  const model = await load(folder, options).catch((error: unknown) => error);
  if (model instanceof Error) return model;
  (model as MultimodalModel).dispose();
  throw new Error("it loaded");
}

describe("a folder that is not a model we can run", () => {
  test.each([
    [
      "an architecture of somebody else",
      { model_type: "idefics3", architectures: ["Idefics3ForConditionalGeneration"] },
      "idefics3 (Idefics3ForConditionalGeneration) is not supported. Supported are llava (LlavaForConditionalGeneration with a CLIP vision encoder), ",
    ],
    [
      "the authors' own architecture in a config.json of Hugging Face's layout",
      { architectures: ["LlavaLlamaForCausalLM"] },
      "mm_vision_tower: is missing: the folder or hub id of the vision encoder.",
    ],
    ["no model_type", { model_type: undefined, architectures: undefined }, "no model_type is not supported."],
    [
      "another language model",
      { text_config: { model_type: "gemma" } },
      'text_config.model_type: "gemma" is not supported. Supported: llama, mistral, opt, qwen2.',
    ],
    [
      "another vision encoder",
      { vision_config: { model_type: "siglip_vision_model" } },
      'vision_config.model_type: "siglip_vision_model" is not supported. Supported: clip_vision_model.',
    ],
    ["quantised weights", { quantization_config: { load_in_4bit: true } }, "quantization_config: quantised checkpoints are not supported."],
    ["absurd sizes", { text_config: { hidden_size: 1e12, num_hidden_layers: 0 } }, "hidden_size: expected a whole number from 1 to"],
    ["a layer that is not there", { vision_feature_layer: -9 }, "expected a whole number from -4 to 3 (3 layers), got -9."],
    ["an unknown activation", { projector_hidden_act: "swoosh" }, "projector_hidden_act"],
    ["an unknown strategy", { vision_feature_select_strategy: "patch" }, "vision_feature_select_strategy"],
    [
      "an image token that the tokenizer has not",
      { image_token_index: 1023 },
      "image_token_index: id 1023 stands for pictures, but the tokenizer has only 1002 tokens.",
    ],
  ])("%s", async (_, change, message) => {
    const error = await failure(await broken(edit("config.json", (json) => ({ ...json, ...change }))));
    expect(error.name).toBe("ConfigError");
    expect(error.message).toContain(message);
    expect(error).toMatchObject({ code: "config" });
  });

  test("every mistake in a config is in one error", async () => {
    const folder = await broken(
      edit("config.json", (json) => ({ ...json, text_config: { hidden_size: 0, num_attention_heads: "many", rms_norm_eps: -1 } })),
    );
    const { message } = await failure(folder);
    for (const field of ["hidden_size", "num_attention_heads", "rms_norm_eps"]) expect(message).toContain(field);
  });

  test.each(["config.json", "tokenizer.json", "preprocessor_config.json", "model-00002-of-00002.safetensors"])(
    "%s is missing",
    async (file) => {
      const error = await failure(await broken((folder) => rmSync(join(folder, file))));
      expect(error.message).toContain(file);
      expect(error).toHaveProperty("code");
    },
  );

  test.each(["config.json", "generation_config.json", "preprocessor_config.json", "tokenizer.json", "model.safetensors.index.json"])(
    "%s is no JSON",
    async (file) => {
      const error = await failure(await broken((folder) => writeFileSync(join(folder, file), '{"a": ')));
      expect(error.message).toContain(file);
      expect(error).toHaveProperty("code");
    },
  );

  test("weights that are cut off", async () => {
    const file = "model-00001-of-00002.safetensors";
    const error = await failure(
      await broken((folder) => writeFileSync(join(folder, file), readFileSync(join(folder, file)).subarray(0, 400_000))),
    );
    expect(error).toMatchObject({ name: "CheckpointError", code: "out_of_range" });
    expect(error.message).toContain(file);
  });

  test("missing, unexpected and mis-shaped keys of all parts in one error", async () => {
    const folder = await broken(async (folder) => {
      const { tensors } = await openCheckpoint(folder);
      const kept = [...tensors.values()].filter(
        ({ name }) => !name.includes("layers.1.self_attn.k_proj") && !name.startsWith("multi_modal_projector.linear_2"),
      );
      const strange = { name: "language_model.model.surprise", dtype: "float32" as const, shape: [1], read: async () => new Uint8Array(4) };
      const short = {
        name: "language_model.model.norm.weight",
        dtype: "float32" as const,
        shape: [63],
        read: async () => new Uint8Array(252),
      };
      await writeSafetensors(join(folder, "model.safetensors"), [...kept.filter(({ name }) => name !== short.name), strange, short]);
      for (const name of readdirSync(folder).filter((name) => /^model-|index/.test(name))) rmSync(join(folder, name));
    });
    const error = await failure(folder);
    expect(error).toMatchObject({
      name: "StateDictError",
      missing: [
        "vision_tower.vision_model.encoder.layers.1.self_attn.k_proj.weight",
        "vision_tower.vision_model.encoder.layers.1.self_attn.k_proj.bias",
        "multi_modal_projector.linear_2.weight",
        "multi_modal_projector.linear_2.bias",
        "language_model.model.layers.1.self_attn.k_proj.weight",
      ],
      unexpected: ["language_model.model.surprise"],
      mismatched: [{ key: "language_model.model.norm.weight", expected: { shape: [64] }, got: { shape: [63] } }],
    });
  });

  test("pictures of another size than the vision encoder takes", async () => {
    const error = await failure(
      await broken(
        edit("preprocessor_config.json", (json) => ({ ...json, crop_size: { height: 70, width: 70 }, size: { shortest_edge: 70 } })),
      ),
    );
    expect(error.message).toContain("pictures come out at 70×70, but the vision encoder takes 56×56");
  });

  test("a generation_config.json that asks for what we do not do", async () => {
    const error = await failure(await broken(edit("generation_config.json", (json) => ({ ...json, guidance_scale: 2, top_p: 3 }))));
    expect(error.message).toContain("guidance_scale: 2 is not supported");
    expect(error.message).toContain("top_p: expected a number ≥ 0 and ≤ 1, got 3");
  });

  test("no folder, and no such repository", async () => {
    await expect(failure(join(temporary, "nowhere"))).resolves.toMatchObject({ name: "HubError", code: "invalid_id" });
    await expect(failure("some/model", { offline: true, cacheDir: temporary })).resolves.toMatchObject({
      name: "HubError",
      code: "offline",
    });
  });

  test("unknown options, all of them named", async () => {
    const error = await failure(llava, { quantise: true, device: "cpu", treads: 2 } as LoadOptions);
    expect(error.message).toContain("quantise");
    expect(error.message).toContain("treads");
  });

  test("inspect reads headers only: cut the weights off behind them, and it still knows everything but that", async () => {
    const whole = await inspect(llava);
    expect(whole).toMatchObject({ model_type: "llava", tokensPerImage: 16, maxPositions: 512, memory: { convertedBytes: 0 } });
    const folder = await broken((folder) => rmSync(join(folder, "model-00001-of-00002.safetensors")));
    const { parts, ...rest } = await inspect(folder);
    expect(rest).toEqual({ ...whole, parts: undefined, folder });
    expect(parts.map(({ storedBytes }) => storedBytes)).toEqual([null, null, null]);
    expect(parts.map(({ parameters }) => parameters)).toEqual(whole.parts.map(({ parameters }) => parameters));
  });
});
