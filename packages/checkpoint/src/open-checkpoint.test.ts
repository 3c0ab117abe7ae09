import { copyFileSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CheckpointError, openCheckpoint } from "@waggle/checkpoint";
import { describe, expect, test } from "vitest";
import { rawSafetensors, rejection, temporaryFolder } from "../test/files.ts";

const golden = join(import.meta.dirname, "../../../golden");

test("a published sharded folder: every tensor of the index, each with the bytes that its header names", async () => {
  const folder = join(golden, "llava-tiny-hf");
  const { tensors, source } = await openCheckpoint(folder);
  const index = JSON.parse(readFileSync(join(folder, "model.safetensors.index.json"), "utf8")) as { weight_map: Record<string, string> };
  expect(source).toBe(folder);
  expect([...tensors.keys()].sort()).toEqual(Object.keys(index.weight_map).sort());
  for (const [name, shard] of Object.entries(index.weight_map)) {
    const bytes = readFileSync(join(folder, shard));
    const length = Number(bytes.readBigUInt64LE(0));
    const described = JSON.parse(bytes.toString("utf8", 8, 8 + length))[name] as { shape: number[]; data_offsets: [number, number] };
    const [begin, end] = described.data_offsets;
    const entry = tensors.get(name);
    expect(entry?.shape).toEqual(described.shape);
    expect(Buffer.from((await entry?.read()) ?? []).equals(bytes.subarray(8 + length + begin, 8 + length + end))).toBe(true);
  }
});

test("a published single file", async () => {
  const { tensors } = await openCheckpoint(join(golden, "llama-tiny"));
  const weight = tensors.get("model.embed_tokens.weight");
  expect(weight?.dtype).toBe("float32");
  expect((await weight?.read())?.byteLength).toBe(4 * (weight?.shape ?? []).reduce((a, b) => a * b, 1));
});

/** A folder with two shards (a, b | c) and an index, as `change` leaves them. */
function sharded(weightMap: unknown = { a: "1.safetensors", b: "1.safetensors", c: "2.safetensors" }): string {
  const folder = temporaryFolder();
  const u8 = (begin: number): object => ({ dtype: "U8", shape: [1], data_offsets: [begin, begin + 1] });
  writeFileSync(join(folder, "1.safetensors"), rawSafetensors({ header: { a: u8(0), b: u8(1) }, data: 2 }));
  writeFileSync(join(folder, "2.safetensors"), rawSafetensors({ header: { c: u8(0) }, data: 1 }));
  writeFileSync(join(folder, "model.safetensors.index.json"), JSON.stringify({ metadata: { total_size: 3 }, weight_map: weightMap }));
  return folder;
}

const problemsOf = async (folder: string): Promise<readonly (readonly [string, string | undefined, string])[]> => {
  const error = await rejection(openCheckpoint(folder));
  if (!(error instanceof CheckpointError)) throw error;
  return error.problems.map(({ code, entry, file }) => [code, entry, file.slice(folder.length + 1)]);
};

describe("an index and its shards", () => {
  test("that agree", async () => {
    expect([...(await openCheckpoint(sharded())).tensors.keys()]).toEqual(["a", "b", "c"]);
    expect((await openCheckpoint(join(sharded(), "model.safetensors.index.json"))).tensors.size).toBe(3);
  });

  test("whose shard is missing", async () => {
    const folder = sharded();
    rmSync(join(folder, "2.safetensors"));
    expect(await problemsOf(folder)).toEqual([["missing_shard", undefined, "2.safetensors"]]);
  });

  test("that disagree in every way at once", async () => {
    const folder = sharded({ a: "1.safetensors", c: "1.safetensors", d: "2.safetensors", e: "3.safetensors" });
    expect(await problemsOf(folder)).toEqual([
      ["unexpected_tensor", "b", "1.safetensors"],
      ["missing_tensor", "c", "1.safetensors"],
      ["unexpected_tensor", "c", "2.safetensors"],
      ["missing_tensor", "d", "2.safetensors"],
      ["missing_shard", undefined, "3.safetensors"],
    ]);
  });

  test("with a tensor in two shards", async () => {
    const folder = sharded();
    copyFileSync(join(folder, "1.safetensors"), join(folder, "2.safetensors"));
    expect(await problemsOf(folder)).toEqual([
      ["duplicate", "a", "2.safetensors"],
      ["duplicate", "b", "2.safetensors"],
      ["missing_tensor", "c", "2.safetensors"],
    ]);
  });

  test("with damaged shards: the problems of all of them", async () => {
    const folder = sharded();
    writeFileSync(
      join(folder, "1.safetensors"),
      rawSafetensors({ header: { a: { dtype: "X", shape: [1], data_offsets: [0, 1] } }, data: 1 }),
    );
    writeFileSync(join(folder, "2.safetensors"), "");
    expect(await problemsOf(folder)).toEqual([
      ["unknown_dtype", "a", "1.safetensors"],
      ["truncated", undefined, "2.safetensors"],
    ]);
  });

  test.each([["../1.safetensors"], ["/etc/passwd"], ["sub/1.safetensors"], [".."], [""], [7], [null]])(
    "that leads out of the folder: %j",
    async (shard) => {
      expect(await problemsOf(sharded({ a: shard }))).toEqual([["invalid_index", "a", "model.safetensors.index.json"]]);
    },
  );

  test.each([[[]], ["text"], [null]])("without a weight map: %j", async (weightMap) => {
    expect(await problemsOf(sharded(weightMap))).toEqual([["invalid_index", undefined, "model.safetensors.index.json"]]);
  });

  test("that names a tensor twice", async () => {
    const folder = sharded();
    writeFileSync(join(folder, "model.safetensors.index.json"), '{"weight_map":{"a":"1.safetensors","a":"2.safetensors"}}');
    expect((await problemsOf(folder))[0]).toEqual(["duplicate", "a", "model.safetensors.index.json"]);
  });
});

test("a folder without weights says what it holds", async () => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, "README.md"), "");
  expect(((await rejection(openCheckpoint(folder))) as Error).message.replace(folder, "folder")).toMatchInlineSnapshot(
    `"folder: holds no weights: expected one of model.safetensors, model.safetensors.index.json, pytorch_model.bin, pytorch_model.bin.index.json; found README.md."`,
  );
});
