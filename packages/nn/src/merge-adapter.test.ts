import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openSafetensors, readFloat32, writeSafetensors } from "@waggle/checkpoint";
import type { WeightSource } from "@waggle/graph";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { expectClose, float32 } from "../../../testing/tensors.ts";
import { AdapterError, ConfigError, mergeAdapter, openAdapter } from "./index.ts";

const vectors = fileURLToPath(new URL("./__vectors__/lora/", import.meta.url));
let temporary: string;
beforeAll(() => {
  temporary = mkdtempSync(join(tmpdir(), "waggle-lora-"));
});
afterAll(() => rmSync(temporary, { recursive: true }));

let count = 0;
function variant(name: string, config: Readonly<Record<string, unknown>>): string {
  const folder = join(temporary, String(count++));
  cpSync(join(vectors, name), folder, { recursive: true });
  const file = join(folder, "adapter_config.json");
  writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, "utf8")), ...config }));
  return folder;
}

async function expectMerged(folder: string, expected = folder): Promise<void> {
  const base = await openSafetensors(join(folder, "base.safetensors"));
  const { tensors } = mergeAdapter(base, await openAdapter(folder));
  const merged = await openSafetensors(join(expected, "merged.safetensors"));
  expect([...tensors.keys()].sort()).toEqual([...merged.tensors.keys()].sort());
  for (const [key, tensor] of merged.tensors) {
    const got = tensors.get(key) as WeightSource;
    expectClose(float32(await readFloat32(got), got.shape), float32(await readFloat32(tensor), tensor.shape), { abs: 2e-6, rel: 2e-6 });
  }
}

describe("weights that PEFT merged", () => {
  test.each(["plain", "rank-stabilised", "patterns", "whole"])("%s", (name) => expectMerged(join(vectors, name)));

  test("keys as PEFT has them in memory, and without base_model.model.", async () => {
    for (const [from, to] of [
      [/(lora_[AB])\.weight$/, "$1.default.weight"],
      [/^base_model\.model\./, ""],
    ] as const) {
      const folder = variant("patterns", {});
      const { tensors } = await openSafetensors(join(vectors, "patterns", "adapter_model.safetensors"));
      const renamed = Array.from(tensors.values(), (tensor) => ({ ...tensor, name: tensor.name.replace(from, to) }));
      await writeSafetensors(join(folder, "adapter_model.safetensors"), renamed);
      await expectMerged(folder);
    }
  });

  test("weights stored transposed (fan_in_fan_out)", async () => {
    const folder = variant("plain", { fan_in_fan_out: true });
    for (const file of ["base.safetensors", "merged.safetensors"]) {
      const { tensors } = await openSafetensors(join(vectors, "plain", file));
      const turned = [...tensors.values()].map((tensor) => {
        const [rows = 0, columns = 0] = tensor.shape;
        if (!/_proj\.weight$/.test(tensor.name)) return tensor;
        const read = async (): Promise<Uint8Array> => {
          const values = await readFloat32(tensor);
          return new Uint8Array(
            Float32Array.from(values, (_, i) => values[(i % rows) * columns + Math.floor(i / rows)] ?? Number.NaN).buffer,
          );
        };
        return { name: tensor.name, dtype: tensor.dtype, shape: [columns, rows], read };
      });
      await writeSafetensors(join(folder, file), turned);
    }
    await expectMerged(folder);
  });

  test("has another fingerprint with another scale, and the base's own for what it leaves alone", async () => {
    const base = await openSafetensors(join(vectors, "plain", "base.safetensors"));
    const print = async (folder: string, key: string) => mergeAdapter(base, await openAdapter(folder)).tensors.get(key)?.fingerprint;
    const other = variant("plain", { lora_alpha: 7 });
    const key = "layers.0.q_proj.weight";
    const prints = [await print(join(vectors, "plain"), key), await print(other, key), base.tensors.get(key)?.fingerprint];
    expect(new Set(prints).size).toBe(3);
    expect(await print(other, "head.weight")).toBe(base.tensors.get("head.weight")?.fingerprint);
  });
});

describe("an adapter that cannot be merged", () => {
  test("one for another base: everything that does not fit in one error", async () => {
    const { source, tensors } = await openSafetensors(join(vectors, "plain", "base.safetensors"));
    const other = new Map([...tensors].filter(([key]) => !key.startsWith("layers.1.")));
    const wide = tensors.get("layers.0.up_proj.weight") as WeightSource;
    other.set("layers.0.q_proj.weight", wide as never);
    const adapter = await openAdapter(join(vectors, "plain"));
    const merge = () => mergeAdapter({ source, tensors: other }, adapter);
    expect(merge).toThrow(AdapterError);
    expect(merge).toThrow(/3 of 4 weights do not fit; nothing was loaded/);
    expect(merge).toThrow("layers.0.q_proj.weight is [10, 6] in the base, the adapter's is for [6, 6].");
    expect(merge).toThrow("layers.1.up_proj.weight is not in the base.");
  });

  test.each([
    [{ peft_type: "IA3" }, 'peft_type: "IA3" is not supported; LORA is.'],
    [{ use_dora: true }, "use_dora: DoRA is not supported"],
    [
      { lora_alpha: null, alpha_pattern: { "(": "x" } },
      /lora_alpha: expected a number, got null\.\s+alpha_pattern\.\(: expected a number, got "x"\.\s+alpha_pattern\.\(: is no/,
    ],
  ])("%o", async (config, message) => {
    const error = await openAdapter(variant("plain", config)).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(ConfigError);
    expect((error as Error).message).toMatch(message);
  });

  test("a config without weights", async () => {
    const folder = variant("plain", {});
    rmSync(join(folder, "adapter_model.safetensors"));
    await expect(openAdapter(folder)).rejects.toThrow(
      `${folder}: holds no weights: expected adapter_model.safetensors or adapter_model.bin`,
    );
  });

  test("half of a pair, matrices that do not multiply, magnitudes of DoRA: all in one error", async () => {
    const folder = variant("plain", {});
    const { tensors } = await openSafetensors(join(vectors, "plain", "adapter_model.safetensors"));
    const changed = [...tensors.values()].flatMap((tensor) => {
      if (tensor.name.endsWith("layers.0.q_proj.lora_B.weight")) return [];
      if (tensor.name.endsWith("layers.0.up_proj.lora_B.weight"))
        return [{ ...tensor, name: "base_model.model.layers.0.up_proj.lora_magnitude_vector" }];
      if (tensor.name.endsWith("layers.1.up_proj.lora_B.weight")) return [{ ...tensor, shape: [...tensor.shape].reverse() }];
      return [tensor];
    });
    await writeSafetensors(join(folder, "adapter_model.safetensors"), changed);
    const error = await openAdapter(folder).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(AdapterError);
    expect((error as AdapterError).problems).toEqual([
      expect.stringContaining("lora_magnitude_vector is not supported"),
      "layers.0.q_proj has lora_A only.",
      "layers.0.up_proj has lora_A only.",
      "layers.1.up_proj: expected A [r, in] and B [out, r], got [3, 6] and [3, 10].",
    ]);
  });
});
