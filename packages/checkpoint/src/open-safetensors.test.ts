import { appendFileSync, readFileSync, symlinkSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { CheckpointError, openCheckpoint, openSafetensors } from "@waggle/checkpoint";
import { describe, expect, test } from "vitest";
import { fileWith, type RawFile, rawSafetensors, rejection, temporaryFolder } from "../test/files.ts";

const vectors = join(import.meta.dirname, "__vectors__");

describe("a file that safetensors wrote", () => {
  test("has every element type, with its values", async () => {
    const { tensors, metadata } = await openSafetensors(join(vectors, "all-types.safetensors"));
    expect(metadata).toEqual({ "made by": "reference/checkpoint/vectors.py, torch 2.13.0" });
    const types = [...tensors.keys()].filter((name) => name.startsWith("t.")).map((name) => name.slice(2));
    expect(types.sort()).toEqual(["bfloat16", "bool", "float16", "float32", "float64", "int32", "int64", "int8", "uint8"]);
    for (const type of types) {
      const entry = tensors.get(`t.${type}`);
      expect([entry?.dtype, entry?.shape]).toEqual([type, [2, 3]]);
    }
    const int64 = await tensors.get("t.int64")?.read();
    expect(new BigInt64Array(int64?.buffer ?? new ArrayBuffer(0))).toEqual(BigInt64Array.of(0n, 1n, 2n, 3n, 4n, 5n));
    const half = await tensors.get("t.float16")?.read();
    expect(new Uint16Array(half?.buffer ?? new ArrayBuffer(0))).toEqual(Uint16Array.of(0, 0x3c00, 0x4000, 0x4200, 0x4400, 0x4500));
    expect(await tensors.get("t.bool")?.read()).toEqual(Uint8Array.of(0, 1, 1, 1, 1, 1));
  });

  test("may hold scalars, empty tensors and any name", async () => {
    const { tensors } = await openSafetensors(join(vectors, "all-types.safetensors"));
    expect(tensors.get("scalar")?.shape).toEqual([]);
    expect(new DataView((await tensors.get("scalar")?.read())?.buffer ?? new ArrayBuffer(4)).getFloat32(0, true)).toBe(2.5);
    expect([tensors.get("empty")?.shape, await tensors.get("empty")?.read()]).toEqual([[0, 4], new Uint8Array(0)]);
    expect(tensors.has("ä.日本.🐝")).toBe(true);
    expect(tensors.has("0")).toBe(true);
  });

  test("is read by ranges", async () => {
    const { tensors } = await openSafetensors(join(vectors, "all-types.safetensors"));
    const piece = new Uint8Array(8);
    await tensors.get("t.int64")?.readInto(piece, 16);
    expect(piece).toEqual(Uint8Array.of(2, 0, 0, 0, 0, 0, 0, 0));
  });

  test("says where its bytes lie, behind symbolic links", async () => {
    const link = join(temporaryFolder(), "model.safetensors");
    const file = join(vectors, "all-types.safetensors");
    symlinkSync(file, link);
    const { path, offset, byteLength } = (await openSafetensors(link)).tensors.get("t.int64")?.location ?? {
      path: "",
      offset: 0,
      byteLength: 0,
    };
    expect(path).toBe(file);
    expect(readFileSync(path).subarray(offset, offset + byteLength)).toEqual(Buffer.from(BigInt64Array.of(0n, 1n, 2n, 3n, 4n, 5n).buffer));
  });
});

describe("fingerprints", () => {
  const content = rawSafetensors({
    header: { a: { dtype: "U8", shape: [2], data_offsets: [0, 2] }, b: { dtype: "U8", shape: [2], data_offsets: [2, 4] } },
    data: 4,
  });

  test("tell tensors and files apart, and stay when nothing changes", async () => {
    const path = fileWith(content);
    const first = (await openSafetensors(path)).tensors;
    const again = (await openSafetensors(path)).tensors;
    const other = (await openSafetensors(fileWith(content))).tensors;
    expect(again.get("a")?.fingerprint).toBe(first.get("a")?.fingerprint);
    expect(first.get("b")?.fingerprint).not.toBe(first.get("a")?.fingerprint);
    expect(other.get("a")?.fingerprint).not.toBe(first.get("a")?.fingerprint);
  });

  test("a file that changed under an open checkpoint is not read", async () => {
    const path = fileWith(content);
    const entry = (await openSafetensors(path)).tensors.get("a");
    appendFileSync(path, "x");
    expect(await rejection(entry?.read() ?? Promise.resolve())).toMatchObject({ code: "changed", entry: "a" });
  });
});

const f32 = (begin: number, end: number, shape: readonly number[] = [(end - begin) / 4]): object => ({
  dtype: "F32",
  shape,
  data_offsets: [begin, end],
});

describe("a broken file is a typed error", () => {
  const cases: readonly (readonly [string, RawFile, string, string | undefined])[] = [
    ["header of 2^63 bytes", { header: {}, headerLength: 2n ** 63n }, "too_large", undefined],
    ["header longer than the file", { header: {}, headerLength: 1000n }, "truncated", undefined],
    ["empty header", { header: "" }, "invalid_json", undefined],
    ["header that is no JSON", { header: '{"a":' }, "invalid_json", undefined],
    [
      "header that is no UTF-8",
      { header: Buffer.from([0x7b, 0xff, 0x7d]).toString("latin1"), headerLength: 3n },
      "invalid_json",
      undefined,
    ],
    ["header that is a list", { header: [] }, "invalid_header", undefined],
    ["metadata that is no text", { header: { __metadata__: { a: 1 } } }, "invalid_header", "__metadata__"],
    ["tensor that is a number", { header: { a: 1 } }, "invalid_entry", "a"],
    ["unknown dtype", { header: { a: { dtype: "Q4", shape: [4], data_offsets: [0, 2] } }, data: 2 }, "unknown_dtype", "a"],
    ["missing dtype", { header: { a: { shape: [4], data_offsets: [0, 16] } }, data: 16 }, "unknown_dtype", "a"],
    [
      "dtype named like a property of objects",
      { header: { a: { dtype: "constructor", shape: [0], data_offsets: [0, 0] } } },
      "unknown_dtype",
      "a",
    ],
    ["negative dimension", { header: { a: f32(0, 16, [-4]) }, data: 16 }, "invalid_entry", "a"],
    ["fraction of a dimension", { header: { a: f32(0, 16, [4.5]) }, data: 16 }, "invalid_entry", "a"],
    ["dimension that is text", { header: { a: { dtype: "F32", shape: ["4"], data_offsets: [0, 16] } }, data: 16 }, "invalid_entry", "a"],
    ["shape whose product overflows", { header: { a: f32(0, 16, [2 ** 40, 2 ** 40]) }, data: 16 }, "wrong_size", "a"],
    ["shape that does not match", { header: { a: f32(0, 16, [5]) }, data: 16 }, "wrong_size", "a"],
    ["three offsets", { header: { a: { dtype: "F32", shape: [4], data_offsets: [0, 16, 32] } }, data: 16 }, "invalid_entry", "a"],
    ["offsets backwards", { header: { a: { dtype: "F32", shape: [4], data_offsets: [16, 0] } }, data: 16 }, "invalid_entry", "a"],
    ["negative offset", { header: { a: { dtype: "F32", shape: [4], data_offsets: [-16, 0] } }, data: 16 }, "invalid_entry", "a"],
    ["offsets beyond the file", { header: { a: f32(0, 4000) }, data: 16 }, "out_of_range", "a"],
    ["overlap", { header: { a: f32(0, 16), b: f32(8, 24) }, data: 24 }, "overlap", "b"],
    ["two tensors on the same bytes", { header: { a: f32(0, 16), b: f32(0, 16) }, data: 16 }, "overlap", "b"],
    ["gap before", { header: { a: f32(4, 20) }, data: 20 }, "gap", "a"],
    ["gap between", { header: { a: f32(0, 16), b: f32(20, 24) }, data: 24 }, "gap", "b"],
    ["bytes behind the last tensor", { header: { a: f32(0, 16) }, data: 17 }, "gap", undefined],
    ["name twice", { header: `{"a":${JSON.stringify(f32(0, 8))},"\\u0061":${JSON.stringify(f32(8, 16))}}`, data: 16 }, "duplicate", "a"],
    ["field twice", { header: '{"a":{"dtype":"U8","shape":[1],"shape":[1],"data_offsets":[0,1]}}', data: 1 }, "duplicate", "shape"],
    ["unknown field", { header: { a: { ...f32(0, 4), stride: [1] } }, data: 4 }, "invalid_entry", "a"],
  ];
  test.each(cases)("%s", async (_, raw, code, entry) => {
    const file = fileWith(rawSafetensors(raw));
    const error = await rejection(openSafetensors(file));
    expect(error).toBeInstanceOf(CheckpointError);
    expect(error).toMatchObject(entry === undefined ? { code, file } : { code, file, entry });
    expect((error as Error).message).toContain(file);
  });

  test("invalid UTF-8 in a name", async () => {
    const bytes = rawSafetensors({ header: { a: f32(0, 4) }, data: 4 });
    bytes[10] = 0xff;
    expect(await rejection(openSafetensors(fileWith(bytes)))).toMatchObject({ code: "invalid_json" });
  });

  test.each([0, 7])("%i bytes", async (length) => {
    expect(await rejection(openSafetensors(fileWith(new Uint8Array(length))))).toMatchObject({ code: "truncated" });
  });

  test("cut off anywhere", async () => {
    const whole = readFileSync(join(vectors, "all-types.safetensors"));
    for (let length = 0; length < whole.byteLength; length += 13) {
      expect(await rejection(openSafetensors(fileWith(whole.subarray(0, length))))).toBeInstanceOf(CheckpointError);
    }
  });

  test("cut off after it was opened", async () => {
    const path = fileWith(rawSafetensors({ header: { a: f32(0, 16) }, data: 16 }));
    const { tensors } = await openSafetensors(path);
    truncateSync(path, 60);
    expect(await rejection(tensors.get("a")?.read() ?? Promise.resolve())).toMatchObject({ code: "changed" });
  });

  test("a missing file, a folder", async () => {
    const folder = temporaryFolder();
    expect(await rejection(openSafetensors(join(folder, "none.safetensors")))).toMatchObject({ code: "not_found" });
    expect(await rejection(openSafetensors(folder))).toMatchObject({ code: "unreadable" });
    expect(await rejection(openCheckpoint(join(folder, "none")))).toMatchObject({ code: "not_found" });
  });

  test("everything that is wrong is said at once", async () => {
    const header = {
      "a.weight": f32(0, 16),
      "b.weight": f32(8, 24, [5]),
      "c.weight": { dtype: "F8_E4M3", shape: [8], data_offsets: [24, 32] },
      "d.bias": 3,
    };
    const file = fileWith(rawSafetensors({ header, data: 32 }));
    const error = (await rejection(openSafetensors(file))) as CheckpointError;
    expect(error.problems).toHaveLength(4);
    expect(error.message.replace(file, "model.safetensors")).toMatchInlineSnapshot(`
      "model.safetensors: 4 problems:
        b.weight: F32 [5] needs 20 bytes, data_offsets hold 16.
        c.weight: dtype "F8_E4M3" is unknown. Known: I64, F64, F32, I32, BF16, F16, I8, U8, BOOL.
        d.bias: is a number, expected { dtype, shape, data_offsets }.
        b.weight: bytes 8–24 overlap a.weight (0–16)."
    `);
  });

  test("unknown options are refused", async () => {
    const options = { singal: undefined } as object;
    expect(await rejection(openSafetensors("x", options))).toMatchObject({ code: "invalid_option" });
  });
});

test("an aborted signal stops before the file is touched", async () => {
  const reason = new Error("enough");
  expect(await rejection(openSafetensors("/nowhere", { signal: AbortSignal.abort(reason) }))).toBe(reason);
});
