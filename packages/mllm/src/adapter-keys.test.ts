import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openCheckpoint } from "@waggle/checkpoint";
import { image } from "@waggle/image";
import { addLora, computedSource, Module, openAdapter, random, saveAdapter } from "@waggle/nn";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type AdapterKeys, authorsKeys, languageKeys, transformersKeys } from "./adapter-keys.ts";
import { assemble, load } from "./index.ts";

const golden = fileURLToPath(new URL("../../../golden/", import.meta.url));
const original = join(golden, "llava-tiny-original");
const vectors = fileURLToPath(new URL("__vectors__/adapters", import.meta.url));
let temporary: string;
beforeAll(() => {
  temporary = mkdtempSync(join(tmpdir(), "waggle-keys-"));
});
afterAll(() => rmSync(temporary, { recursive: true }));

describe("a key becomes a path, and the path that key again", () => {
  test.each([
    ["PEFT over transformers 5", join(vectors, "blue"), transformersKeys],
    ["LLaVA's authors", join(original, "lora"), authorsKeys(2)],
  ])("%s", async (_name, folder, { keyOf, pathOf }) => {
    const { updates, replacements } = await openAdapter(folder);
    const keys = [...updates.keys(), ...replacements.keys()];
    expect(keys.length).toBeGreaterThan(20);
    expect(keys.map((key) => keyOf(pathOf(key)))).toEqual(keys);
  });

  test("a linear projector of the authors, the row of tiles", () => {
    const { keyOf, pathOf } = authorsKeys(1);
    for (const key of ["model.mm_projector.weight", "model.image_newline", "lm_head.weight"]) expect(keyOf(pathOf(key))).toBe(key);
  });

  test("a language model alone: every key of its file", async () => {
    const { tensors } = await openCheckpoint(join(golden, "llama-tiny"));
    for (const key of tensors.keys()) expect(languageKeys.keyOf(languageKeys.pathOf(key))).toBe(key);
  });
});

class TextModules extends Module {
  readonly language_model: Module;
  constructor(language: Module) {
    super();
    this.language_model = language;
  }
}

const own: AdapterKeys = { keyOf: (path) => path, pathOf: (key) => key };

/** What is saved over a model is what is loaded over it: alone, and as one of several. */
describe.each([
  ["llama-tiny", "Hello world", []],
  ["llava-next-tiny", "USER: <image>\nWhat? ASSISTANT:", ["wide.png"]],
  ["llava-tiny-original", "USER: <image>\nWhat? ASSISTANT:", ["scene.png"]],
  ["honeybee-tiny-c-abs", "Human: <image>\nHuman: What?\nAI:", ["picture-a.png"]],
])("over %s", (name, prompt, files) => {
  test("the same answer, and another than the base's", async () => {
    const base = join(golden, name);
    const model = await assemble(base);
    const root = model.composition?.modules ?? new TextModules(model.language);
    const pairs = addLora(root, { target_modules: ".*language_model.*_proj|.*language_model.*fc[12]", r: 2, lora_alpha: 4, seed: 1 });
    for (const [path, { lora_B }] of pairs) {
      const stream = random(5, path);
      const values = Float32Array.from({ length: lora_B.in_features * lora_B.out_features }, () => stream.uniform() - 0.5);
      lora_B.weight.source = computedSource("float32", lora_B.weight.shape, path, async () => values);
    }
    const adapter = join(temporary, name);
    await saveAdapter(adapter, root, { base_model_name_or_path: base, spelling: (model.adapterKeys ?? own).keyOf });
    const options = { max_new_tokens: 8, eos_token_id: [], images: files.map((file) => image(join(base, file))) };
    using alone = await load(adapter, { base });
    using several = await load(base, { adapters: { tuned: adapter } });
    const expected = await alone.generate(prompt, options);
    const [tuned, plain] = await Promise.all([
      several.generate(prompt, { ...options, adapter: "tuned" }),
      several.generate(prompt, options),
    ]);
    expect(tuned.tokenIds).toEqual(expected.tokenIds);
    expect(plain.tokenIds).not.toEqual(expected.tokenIds);
  });
});
