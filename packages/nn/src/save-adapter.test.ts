import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSafetensors } from "@waggle/checkpoint";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  addLora,
  initialize,
  LayerNorm,
  Linear,
  Module,
  ModuleDict,
  ModuleList,
  Parameter,
  type SaveAdapterOptions,
  saveAdapter,
} from "./index.ts";

class Model extends Module {
  readonly newline = new Parameter([4]);
  readonly layers = new ModuleList([new Linear(4, 4), new Linear(4, 4)]);
  readonly projector: ModuleDict<{ norm: LayerNorm; proj: Linear }> = new ModuleDict({ norm: new LayerNorm(4), proj: new Linear(4, 4) });
}

let temporary: string;
beforeAll(() => {
  temporary = mkdtempSync(join(tmpdir(), "waggle-save-"));
});
afterAll(() => rmSync(temporary, { recursive: true }));

let count = 0;
async function save(
  options: Partial<SaveAdapterOptions> = {},
): Promise<{ readonly config: Record<string, unknown>; readonly keys: readonly string[] }> {
  const model = new Model();
  initialize(model, { seed: 0 });
  addLora(model, { target_modules: ["layers.1"], r: 2, lora_alpha: 3 });
  const folder = join(temporary, String(count++));
  await saveAdapter(folder, model, { base_model_name_or_path: "base", ...options });
  const { tensors } = await openSafetensors(join(folder, "adapter_model.safetensors"));
  return { config: JSON.parse(readFileSync(join(folder, "adapter_config.json"), "utf8")), keys: [...tensors.keys()].sort() };
}

const pair = ["base_model.model.layers.1.lora_A.weight", "base_model.model.layers.1.lora_B.weight"];

test("pairs alone", async () => {
  const { config, keys } = await save();
  expect(config).toMatchObject({ target_modules: ["layers.1"], r: 2, lora_alpha: 3, modules_to_save: null });
  expect(keys).toEqual(pair);
});

test("modules_to_save are the largest that were trained whole; of a bias, the module that holds it; no list of modules", async () => {
  const projector = ["norm.weight", "norm.bias", "proj.weight", "proj.bias"].map((name) => `projector.${name}`);
  const whole = await save({ trained: [...projector, "newline"] });
  expect(whole.config.modules_to_save).toEqual(["projector"]);
  expect(whole.keys).toEqual([...pair, ...["newline", ...projector].map((name) => `base_model.model.${name}`)].sort());
  const part = await save({ trained: ["projector.proj.bias", "layers.0.weight", "layers.0.bias"] });
  expect(part.config.modules_to_save).toEqual(["layers.0", "projector.proj"]);
  expect(part.keys).toContain("base_model.model.projector.proj.weight");
});

test("values may come from elsewhere, keys may be spelled otherwise", async () => {
  const read = async (_path: string, { shape }: Parameter): Promise<Float32Array> =>
    new Float32Array((shape[0] ?? 0) * (shape[1] ?? 1)).fill(7);
  const { keys, config } = await save({ read, spelling: (path) => `model.${path}` });
  expect(keys).toEqual(pair.map((key) => key.replace("model.layers", "model.model.layers")));
  expect(config.target_modules).toEqual(["model.layers.1"]);
});

test("mistakes leave nothing behind", async () => {
  const before = readdirSync(temporary).length;
  await expect(save({ trained: ["layers.1.weight", "nobody.weight"] })).rejects.toThrow(
    /layers\.1\.weight has a LoRA pair beside it: train one or the other\.\s+trained: there is no parameter nobody\.weight\./,
  );
  await expect(save({ read: () => Promise.reject(new Error("lost")) })).rejects.toThrow("lost");
  const plain = new Model();
  await expect(saveAdapter(join(temporary, "plain"), plain, { base_model_name_or_path: "base" })).rejects.toThrow(
    "there is nothing to save",
  );
  const mixed = new Model();
  addLora(mixed, { target_modules: ["layers.0"], r: 2, lora_alpha: 3 });
  addLora(mixed, { target_modules: ["layers.1"], r: 2, lora_alpha: 3, use_rslora: true });
  await expect(saveAdapter(join(temporary, "mixed"), mixed, { base_model_name_or_path: "base" })).rejects.toThrow(
    "one use_rslora for all layers",
  );
  await expect(saveAdapter(temporary, plain, { base_model_name_or_path: "base" })).rejects.toThrow("there is nothing to save");
  expect(readdirSync(temporary).length).toBe(before);
});
