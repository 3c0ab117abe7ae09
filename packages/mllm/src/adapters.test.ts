/** LoRA adapters over bases that are not LLaVA's: merged, or refused by name. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openCheckpoint, readFloat32, writeSafetensors } from "@waggle/checkpoint";
import { afterAll, beforeAll, expect, test } from "vitest";
import { convert, load } from "./index.ts";

const golden = fileURLToPath(new URL("../../../golden/", import.meta.url));

let temporary: string;
beforeAll(() => {
  temporary = mkdtempSync(join(tmpdir(), "waggle-adapters-"));
});
afterAll(() => rmSync(temporary, { recursive: true }));

/** An adapter that adds 2 · B · A, with A = 0.5 in its first column, B = 1, 2, 3 … */
async function adapterOver(module: string, [rows, columns]: readonly [number, number], name: string): Promise<string> {
  const folder = join(temporary, name);
  mkdirSync(folder);
  const A = new Float32Array(columns);
  A[0] = 0.5;
  const half = (half: "A" | "B", values: Float32Array, shape: readonly number[]) => ({
    name: `base_model.model.${module}.lora_${half}.weight`,
    dtype: "float32" as const,
    shape,
    read: async () => new Uint8Array(values.buffer),
  });
  const B = Float32Array.from({ length: rows }, (_, row) => row + 1);
  await writeSafetensors(join(folder, "adapter_model.safetensors"), [half("A", A, [1, columns]), half("B", B, [rows, 1])]);
  writeFileSync(join(folder, "adapter_config.json"), JSON.stringify({ peft_type: "LORA", lora_alpha: 2, r: 1 }));
  return folder;
}

test("over Honeybee: merged", async () => {
  const base = join(golden, "honeybee-tiny-c-abs");
  const key = "language_model.model.layers.0.self_attn.q_proj.weight";
  const before = (await openCheckpoint(base)).tensors.get(key);
  const [rows = 0, columns = 0] = before?.shape ?? [];
  const adapter = await adapterOver(key.slice(0, -".weight".length), [rows, columns], "honeybee");
  const to = join(temporary, "merged");
  await convert(adapter, to, { base });
  const after = (await openCheckpoint(to)).tensors.get(key);
  if (!before || !after) throw new Error(`no ${key}`);
  const [was, is] = [await readFloat32(before), await readFloat32(after)];
  // Only the first column changes: by 2 · 0.5 · (row + 1).
  expect(Array.from(is)).toEqual(Array.from(was, (value, i) => (i % columns === 0 ? Math.fround(value + i / columns + 1) : value)));
  using model = await load(adapter, { base });
  expect((await model.generate("Hello", { max_new_tokens: 3 })).tokenIds.length).toBeGreaterThan(0);
});

test("over MiniGPT-4 and BLIP-2: refused by name", async () => {
  const adapter = await adapterOver("model.layers.0.self_attn.q_proj", [4, 4], "any");
  for (const [base, name] of [
    ["minigpt4-tiny", /adapters over a MiniGPT-4 .* are not supported/],
    ["blip2-opt-tiny", /adapters over BLIP-2 .* are not supported/],
  ] as const) {
    await expect(load(adapter, { base: join(golden, base) })).rejects.toThrow(name);
    await expect(convert(adapter, join(temporary, "never"), { base: join(golden, base) })).rejects.toThrow(name);
  }
});
