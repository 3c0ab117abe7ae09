import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { afterEach, beforeEach, expect, test } from "vitest";
import { input, ops, symbol, Weight, type WeightSource, writeOnnx } from "./index.ts";

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "graph-"));
});
afterEach(() => rm(folder, { recursive: true }));

const bytesOf = (array: { readonly buffer: ArrayBufferLike }): Uint8Array => new Uint8Array(array.buffer);
function weight(source: Pick<WeightSource, "dtype" | "shape">, bytes: Uint8Array, label: string): Weight {
  const leaf = new Weight(source.shape);
  leaf.label = label;
  leaf.source = { ...source, fingerprint: label, read: async () => bytes };
  return leaf;
}

const half = Uint16Array.of(0x3c00, 0x4000, 0x4200, 0x4400, 0x4500, 0x4600, 0x4700, 0x4800); // 1 … 8
const table = weight({ dtype: "float16", shape: [4, 2] }, bytesOf(half), "table");
const bias = weight({ dtype: "bfloat16", shape: [2] }, bytesOf(Uint16Array.of(0x3f80, 0x4000)), "bias"); // 1, 2
const scale = weight({ dtype: "float32", shape: [2] }, bytesOf(Float32Array.of(10, 100)), "scale");
const ids = input("ids", "int64", [symbol("S")]);

test("weights lie beside the model in the type they are stored in, each on its page", async () => {
  const path = join(folder, "model.onnx");
  const seen: unknown[] = [];
  const y = ops.mul(ops.add(ops.embedding(ids, table), bias), scale);
  await writeOnnx({ inputs: { ids }, outputs: { y } }, path, { onProgress: (progress) => seen.push(progress) });
  const file = `${path}_data`;
  expect(seen).toEqual([
    { phase: "write", file, loaded: 16, total: 28 },
    { phase: "write", file, loaded: 20, total: 28 },
    { phase: "write", file, loaded: 28, total: 28 },
  ]);
  const data = await readFile(file);
  expect(data.byteLength).toBe(2 * 4096 + 8);
  expect(new Uint8Array(data.subarray(0, 16))).toEqual(bytesOf(half));
  const session = await InferenceSession.create(path);
  const result = await session.run({ ids: new Tensor("int64", [3n, 0n], [2]) });
  expect(result.y?.data).toEqual(Float32Array.of(80, 1000, 20, 400));
});

test("a table that is only gathered is cast row by row, any other as a whole", async () => {
  const path = join(folder, "model.onnx");
  for (const y of [ops.embedding(ids, table), ops.gather(ops.exp(ops.mul(table, 0)), ids)]) {
    await writeOnnx({ inputs: { ids }, outputs: { y } }, path, { target: "onnxruntime" });
    const session = await InferenceSession.create(path);
    const result = await session.run({ ids: new Tensor("int64", [3n, 0n], [2]) });
    expect(result.y?.data).toEqual(y.node?.op === "Embedding" ? Float32Array.of(7, 8, 1, 2) : Float32Array.of(1, 1, 1, 1));
  }
});

test("a graph without weights is one file, and takes an earlier model's weights away", async () => {
  const path = join(folder, "model.onnx");
  await writeOnnx({ inputs: { ids }, outputs: { y: ops.embedding(ids, table) } }, path);
  expect((await readdir(folder)).sort()).toEqual(["model.onnx", "model.onnx_data"]);
  await writeOnnx({ inputs: { ids }, outputs: { y: ops.cast(ids, "float32") } }, path);
  expect(await readdir(folder)).toEqual(["model.onnx"]);
});

test("what cannot be written leaves the earlier file as it was, and nothing else", async () => {
  const path = join(folder, "model.onnx");
  await writeFile(path, "earlier");
  const write = (leaf: Weight, signal = new AbortController().signal): Promise<void> =>
    writeOnnx({ inputs: { ids }, outputs: { y: ops.gather(leaf, ids) } }, path, { signal });
  await expect(write(new Weight([2]))).rejects.toThrow(
    "writeOnnx: 1 weights have no source: weight_1. Load or initialise the module first.",
  );
  const short = weight({ dtype: "float32", shape: [3] }, new Uint8Array(8), "short");
  await expect(write(short)).rejects.toThrow('writeOnnx: weight "short" [3] got 8 bytes of float32 [3].');
  const controller = new AbortController();
  const aborting = weight({ dtype: "float32", shape: [2] }, new Uint8Array(8), "aborting");
  const read = async (): Promise<Uint8Array> => {
    controller.abort(new Error("enough"));
    return new Uint8Array(8);
  };
  aborting.source = { dtype: "float32", shape: [2], fingerprint: "aborting", read };
  await expect(write(aborting, controller.signal)).rejects.toThrow("enough");
  expect(await readdir(folder)).toEqual(["model.onnx"]);
  expect(await readFile(path, "utf8")).toBe("earlier");
});
