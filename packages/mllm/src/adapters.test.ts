/** Several adapters over one base: each request gets what PEFT gives with that adapter alone (reference/mllm/adapters.py). */
import { mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openSafetensors, writeSafetensors } from "@waggle/checkpoint";
import { image } from "@waggle/image";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { adapterBase, writeTunedAdapter } from "../../../testing/saved-adapter.ts";
import { assemble, load, type MultimodalModel } from "./index.ts";

const vectors = fileURLToPath(new URL("__vectors__/adapters/", import.meta.url));
const { prompts, answers } = JSON.parse(readFileSync(join(vectors, "answers.json"), "utf8"));
let temporary: string;
let model: MultimodalModel;

beforeAll(async () => {
  temporary = mkdtempSync(join(tmpdir(), "waggle-adapters-"));
  const ours = join(temporary, "ours");
  await writeTunedAdapter(ours);
  model = await load(adapterBase, { adapters: { red: join(vectors, "red"), blue: join(vectors, "blue"), ours } });
});
afterAll(() => {
  model.dispose();
  rmSync(temporary, { recursive: true });
});

async function ask(adapter: string | null, prompt: "scene" | "text", options = {}): Promise<readonly number[]> {
  const images = prompt === "scene" ? [image(join(adapterBase, "scene.png"))] : [];
  const { tokenIds } = await model.generate(prompts[prompt], { max_new_tokens: 12, eos_token_id: [], images, adapter, ...options });
  return tokenIds;
}

const requests = [null, "red", "blue", "ours"].flatMap((name) => (["scene", "text"] as const).map((prompt) => [name, prompt] as const));
const expected = requests.map(([name, prompt]) => answers[name ?? "base"][prompt]);

describe("each request gets its own adapter's answer", () => {
  test("one after the other, though prompts begin alike", async () => {
    for (const [i, [name, prompt]] of requests.entries()) expect(await ask(name, prompt)).toEqual(expected[i]);
  });

  test("all at once, in the rows of one batch", async () => {
    expect(await Promise.all(requests.map(([name, prompt]) => ask(name, prompt)))).toEqual(expected);
  });

  test("with beams, as the adapter merged", async () => {
    const beams = { max_new_tokens: 8, num_beams: 3 };
    using alone = await load(join(vectors, "red"), { base: adapterBase });
    const { tokenIds } = await alone.generate(prompts.text, { ...beams, eos_token_id: [] });
    const [mixed] = await Promise.all([ask("red", "text", beams), ask("blue", "text"), ask(null, "text", beams)]);
    expect(mixed).toEqual(tokenIds);
  });
});

test("LLaVA's own adapter, with its non_lora_trainables.bin: the projector is the request's, too", async () => {
  const original = fileURLToPath(new URL("../../../golden/llava-tiny-original", import.meta.url));
  const all = JSON.parse(readFileSync(join(original, "expected.json"), "utf8"));
  using several = await load(original, { adapters: { lora: join(original, "lora") } });
  const [tuned] = all.lora.cases;
  const plain = all.cases.find(({ prompt, images }: typeof tuned) => prompt === tuned.prompt && images[0] === tuned.images[0]);
  const run = async (adapter: string | null, { prompt, images, max_new_tokens }: typeof tuned) => {
    const pictures = images.map((file: string) => image(join(original, file)));
    return (await several.generate(prompt, { images: pictures, max_new_tokens, adapter })).tokenIds;
  };
  expect(await Promise.all([run("lora", tuned), run(null, plain)])).toEqual([tuned.tokenIds, plain.tokenIds]);
});

describe("mistakes", () => {
  test("a name that was not loaded", async () => {
    await expect(ask("green", "text")).rejects.toThrow('adapter: "green" was not loaded. There are: red, blue, ours.');
  });

  test("an adapter over another base", async () => {
    const other = fileURLToPath(new URL("../../../golden/llama-tiny", import.meta.url));
    await expect(load(other, { adapters: { red: join(vectors, "red") } })).rejects.toThrow("was trained over another base");
  });

  test("one that trained part of the language model whole", async () => {
    const folder = join(temporary, "whole");
    await writeTunedAdapter(folder);
    const file = join(folder, "adapter_model.safetensors");
    const { tensors } = await openSafetensors(file);
    const norm = { name: "base_model.model.model.language_model.norm.weight", dtype: "float32", shape: [64] } as const;
    const read = async () => new Uint8Array(new Float32Array(64).fill(2).buffer);
    await writeSafetensors(join(temporary, "more.safetensors"), [...tensors.values(), { ...norm, read }]);
    renameSync(join(temporary, "more.safetensors"), file);
    await expect(load(adapterBase, { adapters: { whole: folder } })).rejects.toThrow(
      "whole: cannot be one of several; merge it (waggle merge), or load it alone.\n  language_model.model.norm.weight was trained whole.",
    );
  });

  test("an option that assemble() and inspect() do not know", async () => {
    await expect(assemble(adapterBase, { adapters: {} } as never)).rejects.toThrow("adapters: is not an option");
  });
});
