import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type NamedTensor, openSafetensors, type Progress, writeSafetensors } from "@waggle/checkpoint";
import { describe, expect, test } from "vitest";
import { rejection, temporaryFolder } from "../test/files.ts";

const golden = join(import.meta.dirname, "../../../golden");
const vectors = join(import.meta.dirname, "__vectors__");

describe("writes what the reference implementation writes, byte by byte", () => {
  test.each([
    join(golden, "llama-tiny/model.safetensors"),
    join(golden, "llama-tiny/io.safetensors"),
    join(golden, "llava-tiny-hf/model-00001-of-00002.safetensors"),
    join(golden, "llava-tiny-hf/model-00002-of-00002.safetensors"),
    join(golden, "llava-tiny-hf-newkeys/model.safetensors"),
    join(golden, "image-processing/io.safetensors"),
    join(golden, "generation-logits-processors/io.safetensors"),
    join(vectors, "all-types.safetensors"),
    join(vectors, "to-float32.safetensors"),
  ])("%s", async (file) => {
    const { tensors, metadata } = await openSafetensors(file);
    const copy = join(temporaryFolder(), "copy.safetensors");
    await writeSafetensors(copy, [...tensors.values()].reverse(), { metadata });
    expect(readFileSync(copy).equals(readFileSync(file))).toBe(true);
  });
});

const tensor = (name: string, bytes: Uint8Array, shape: readonly number[] = [bytes.byteLength]): NamedTensor => {
  return { name, dtype: "uint8", shape, read: async () => bytes };
};

describe("a failed write leaves what was there", () => {
  async function failing(tensors: readonly NamedTensor[], signal?: AbortSignal): Promise<unknown> {
    const folder = temporaryFolder();
    const path = join(folder, "model.safetensors");
    writeFileSync(path, "before");
    const error = await rejection(writeSafetensors(path, tensors, signal ? { signal } : {}));
    expect(readdirSync(folder)).toEqual(["model.safetensors"]);
    expect(readFileSync(path, "utf8")).toBe("before");
    return error;
  }

  test("a tensor that gives other bytes than its shape promises", async () => {
    expect(await failing([tensor("a", new Uint8Array(3), [4])])).toMatchObject({ code: "wrong_size", entry: "a" });
    expect(await failing([tensor("a", new Uint8Array(5), [4])])).toMatchObject({ code: "wrong_size", entry: "a" });
  });

  test("a name given twice, a shape that is none, a type that is none: all at once", async () => {
    const bad = { ...tensor("c", new Uint8Array(1)), dtype: "float8" as "uint8" };
    const error = await failing([
      tensor("a", new Uint8Array(1)),
      tensor("a", new Uint8Array(1)),
      tensor("b", new Uint8Array(1), [-1]),
      bad,
    ]);
    expect(error).toMatchObject({
      problems: [
        { code: "unknown_dtype", entry: "c" },
        { code: "duplicate", entry: "a" },
        { code: "invalid_entry", entry: "b" },
      ],
    });
  });

  test("a tensor that cannot be read", async () => {
    const cause = new Error("gone");
    expect(await failing([{ ...tensor("a", new Uint8Array(1)), read: () => Promise.reject(cause) }])).toBe(cause);
  });

  test("an abort between two tensors", async () => {
    const abort = new AbortController();
    const first: NamedTensor = {
      ...tensor("a", new Uint8Array(1)),
      read: async () => {
        abort.abort(new Error("enough"));
        return new Uint8Array(1);
      },
    };
    expect(await failing([first, tensor("b", new Uint8Array(1))], abort.signal)).toMatchObject({ message: "enough" });
  });
});

test("reports its progress up to the file's size, and makes folders", async () => {
  const path = join(temporaryFolder(), "a/b/model.safetensors");
  const seen: Progress[] = [];
  await writeSafetensors(path, [tensor("a", new Uint8Array(10)), tensor("b", new Uint8Array(20))], {
    onProgress: (progress) => seen.push(progress),
  });
  expect(seen.at(-1)).toEqual({ phase: "write", file: path, loaded: readFileSync(path).byteLength, total: readFileSync(path).byteLength });
});

test("a tensor replaces the file that it is read from", async () => {
  const path = join(temporaryFolder(), "model.safetensors");
  await writeSafetensors(path, [tensor("a", Uint8Array.of(1, 2, 3)), tensor("b", Uint8Array.of(4))]);
  const { tensors } = await openSafetensors(path);
  await writeSafetensors(path, [...tensors.values()].slice(1));
  const after = await openSafetensors(path);
  expect([...after.tensors.keys()]).toEqual(["b"]);
  expect(await after.tensors.get("b")?.read()).toEqual(Uint8Array.of(4));
});

test("a path that cannot be written", async () => {
  expect(await rejection(writeSafetensors("/dev/null/x.safetensors", []))).toMatchObject({ code: "unwritable" });
});
