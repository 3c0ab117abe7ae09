/** reference/mllm/adapters.py: PEFT opened the folder that saveAdapter writes, and answered over transformers' LLaVA. */
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readFloat32 } from "@waggle/checkpoint";
import { image } from "@waggle/image";
import { LoraLinear, loadAdapter, mergeLora } from "@waggle/nn";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { promptFeeds, promptGraph } from "../../../testing/multimodal.ts";
import { runGraph } from "../../../testing/run-graph.ts";
import { adapterBase, tunedModel, writeTunedAdapter } from "../../../testing/saved-adapter.ts";
import { expectClose, float32, floats, need, readTensors } from "../../../testing/tensors.ts";
import { type Assembly, assemble, convert, load, type MultimodalModel } from "./index.ts";

const vectors = new URL("__vectors__/adapters/", import.meta.url);
const { ours, prompts, answers } = JSON.parse(readFileSync(new URL("answers.json", vectors), "utf8"));
const cases: readonly { readonly name: string; readonly promptIds: readonly number[] }[] = JSON.parse(
  readFileSync(join(adapterBase, "expected.json"), "utf8"),
).cases;
const textIds = cases.find(({ name }) => name === "text-only")?.promptIds ?? [];
let temporary: string;
let folder: string;
beforeAll(async () => {
  temporary = mkdtempSync(join(tmpdir(), "waggle-adapter-"));
  folder = join(temporary, "adapter");
  await writeTunedAdapter(folder);
});
afterAll(() => rmSync(temporary, { recursive: true }));

/** The logits behind the text prompt. */
async function lastLogits({ language }: Assembly) {
  const feeds = { ...promptFeeds(textIds, -1, []), features: float32(new Float32Array(language.hidden_size), [1, language.hidden_size]) };
  const { logits } = await runGraph(promptGraph(language), feeds);
  return float32(floats(logits).slice(-language.vocab_size), [language.vocab_size]);
}

async function expectAnswers(model: MultimodalModel): Promise<void> {
  const options = { max_new_tokens: 12, eos_token_id: [] };
  const scene = await model.generate(prompts.scene, { ...options, images: [image(join(adapterBase, "scene.png"))] });
  expect(scene.tokenIds).toEqual(answers.ours.scene);
  expect((await model.generate(prompts.text, options)).tokenIds).toEqual(answers.ours.text);
}

test("the folder is the one that PEFT opened, byte for byte", () => {
  for (const [file, digest] of Object.entries(ours))
    expect(
      createHash("sha256")
        .update(readFileSync(join(folder, file)))
        .digest("hex"),
    ).toBe(digest);
});

test("pairs in the graph, merged into the layers, and taken out again: PEFT's logits, the base's bits", async () => {
  const expected = await readTensors(new URL("logits.safetensors", vectors));
  const { model, modules } = await tunedModel();
  const beside = await lastLogits(model);
  expectClose(beside, need(expected, "ours.text"), { abs: 1e-4, rel: 1e-4 });
  const before = [...modules.namedModules()];
  const unmerge = mergeLora(modules);
  expect([...modules.namedModules()].some(([, module]) => module instanceof LoraLinear)).toBe(false);
  expectClose(await lastLogits(model), need(expected, "ours.text"), { abs: 1e-4, rel: 1e-4 });
  unmerge();
  expect([...modules.namedModules()]).toEqual(before);
  expect(floats(await lastLogits(model))).toEqual(floats(beside));
  const base = await lastLogits(await assemble(adapterBase));
  expectClose(base, need(expected, "base.text"), { abs: 1e-4, rel: 1e-4 });
});

describe("what reads it gives PEFT's answers", () => {
  test("load, over its base", async () => {
    using model = await load(folder, { base: adapterBase });
    await expectAnswers(model);
  });

  test("convert, into one folder", async () => {
    await convert(folder, join(temporary, "merged"), { base: adapterBase });
    using model = await load(join(temporary, "merged"));
    await expectAnswers(model);
  });
});

test("loadAdapter: the pairs are there again, with ranks, numbers and values, and so is what was trained whole", async () => {
  const saved = (await tunedModel()).modules;
  const model = await assemble(adapterBase);
  const modules = model.composition?.modules;
  if (!modules || !model.adapterKeys) throw new Error("llava-tiny-hf sees.");
  const pairs = await loadAdapter(modules, folder, { spelling: model.adapterKeys.pathOf });
  expect(pairs.size).toBe(9);
  const again = new Map(modules.namedModules());
  for (const [path, module] of saved.namedModules()) {
    if (!(module instanceof LoraLinear)) continue;
    const { r, lora_alpha, lora_dropout, use_rslora } = module;
    expect(again.get(path)).toMatchObject({ r, lora_alpha, lora_dropout, use_rslora });
    expect(again.get(path)).toBe(pairs.get(path));
  }
  const loaded = new Map(modules.namedParameters());
  for (const [path, { source }] of saved.namedParameters()) {
    const values = async (from: typeof source | undefined) => from && readFloat32({ dtype: from.dtype, read: () => from.read() });
    expect(await values(loaded.get(path)?.source)).toEqual(await values(source));
  }
  await expect(loadAdapter(modules, folder, { spelling: model.adapterKeys.pathOf })).rejects.toThrow("has a LoRA pair already");
  await expect(loadAdapter(modules, folder)).rejects.toThrow("model.language_model.layers.0.mlp.down_proj is no linear layer here.");
});
