import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type NamedTensor, openCheckpoint, writeCheckpoint } from "@waggle/checkpoint";
import { afterEach, beforeEach, expect, test } from "vitest";

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "waggle-write-"));
});
afterEach(() => rm(folder, { recursive: true }));

function tensor(name: string, ...values: readonly number[]): NamedTensor {
  return { name, dtype: "float32", shape: [values.length], read: async () => new Uint8Array(Float32Array.from(values).buffer) };
}
const tensors = [tensor("a", 1, 2, 3), tensor("b", 4), tensor("c", 5, 6, 7, 8, 9), tensor("d", 10)];

test("one file where everything fits", async () => {
  expect(await writeCheckpoint(folder, tensors)).toEqual(["model.safetensors"]);
  expect(Array.from((await openCheckpoint(folder)).tensors.keys())).toEqual(["a", "b", "c", "d"]);
});

test("shards with an index; a tensor beyond the limit has one of its own", async () => {
  const seen: number[] = [];
  const files = await writeCheckpoint(folder, tensors, { maxShardBytes: 16, onProgress: ({ loaded, total }) => seen.push(loaded / total) });
  expect(files).toEqual([1, 2, 3].map((i) => `model-0000${i}-of-00003.safetensors`).concat("model.safetensors.index.json"));
  expect((await readdir(folder)).sort()).toEqual([...files]);
  expect(JSON.parse(await readFile(join(folder, "model.safetensors.index.json"), "utf8"))).toMatchObject({
    metadata: { total_size: 40 },
    weight_map: { a: files[0], b: files[0], c: files[1], d: files[2] },
  });
  const checkpoint = await openCheckpoint(folder);
  const bytes = await checkpoint.tensors.get("c")?.read();
  expect(new Float32Array(bytes?.buffer ?? new ArrayBuffer())).toEqual(Float32Array.of(5, 6, 7, 8, 9));
  expect(seen).toEqual([...seen].sort((a, b) => a - b));
  expect(seen.at(-1)).toBe(1);
});

test("more than the disk has left is an error before anything is written", async () => {
  const huge = { ...tensor("huge", 1), shape: [2 ** 48] };
  await expect(writeCheckpoint(folder, [huge])).rejects.toMatchObject({ name: "CheckpointError", code: "unwritable" });
  expect(await readdir(folder)).toEqual([]);
});
