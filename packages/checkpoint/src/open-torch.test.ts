import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CheckpointError, openCheckpoint, openSafetensors, openTorch } from "@waggle/checkpoint";
import { describe, expect, test } from "vitest";
import { fileWith, rejection, temporaryFolder } from "../test/files.ts";

const vectors = join(import.meta.dirname, "__vectors__");
const FORMS = ["torch-zip.pt", "torch-zip-protocol5.pt", "torch-zip64.pt", "torch-legacy.pt"];

describe.each(FORMS)("%s", (form) => {
  test("has the tensors that PyTorch finds in it, dense", async () => {
    const { tensors } = await openTorch(join(vectors, form));
    const expected = (await openSafetensors(join(vectors, "torch-dense.safetensors"))).tensors;
    expect([...tensors.keys()].sort()).toEqual([...expected.keys()].sort());
    for (const [name, reference] of expected) {
      const entry = tensors.get(name);
      expect([name, entry?.dtype, entry?.shape]).toEqual([name, reference.dtype, reference.shape]);
      expect([name, await entry?.read()]).toEqual([name, await reference.read()]);
    }
  });

  test("says where the dense ones lie, and gives every content its own fingerprint", async () => {
    const { tensors } = await openTorch(join(vectors, form));
    const { path, offset, byteLength } = tensors.get("model.row")?.location ?? { path: "", offset: 0, byteLength: 0 };
    expect(new Uint8Array(readFileSync(path).subarray(offset, offset + byteLength))).toEqual(await tensors.get("model.row")?.read());
    expect(tensors.get("model.transposed")?.location).toBeUndefined();
    expect(tensors.get("model.same_storage")?.fingerprint).toBe(tensors.get("model.matrix")?.fingerprint);
    const others = ["matrix", "transposed", "row", "column", "inner", "steps"].map((name) => tensors.get(`model.${name}`)?.fingerprint);
    expect(new Set(others).size).toBe(6);
  });

  test("cut off anywhere is a typed error", async () => {
    const whole = readFileSync(join(vectors, form));
    for (let length = 0; length < whole.length; length += 41) {
      expect(await rejection(openTorch(fileWith(whole.subarray(0, length), "model.bin")))).toBeInstanceOf(CheckpointError);
    }
  });
});

describe("what a file of weights has no business with", () => {
  test("is refused by its name and not run", async () => {
    expect(await rejection(openTorch(join(vectors, "unsafe.pt")))).toMatchObject({
      code: "unsafe",
      message: expect.stringMatching(/names (posix|nt)\.system, which Python would run/) as string,
    });
  });

  test("everything that is unknown is named at once", async () => {
    const pickle = Buffer.concat([Buffer.from([0x80, 2]), Buffer.from("cbuiltins\neval\ncos\nsystem\n."), Buffer.alloc(4)]);
    expect(await rejection(openTorch(fileWith(pickle, "model.pt")))).toMatchObject({
      code: "unsafe",
      message: expect.stringContaining("builtins.eval, os.system") as string,
    });
  });

  test("a tensor whose sign stands beside it, rather than the wrong values", async () => {
    const message = expect.stringContaining("a tensor that is marked neg; save its .resolve_neg()") as string;
    expect(await rejection(openTorch(join(vectors, "negated.pt")))).toMatchObject({ code: "unsupported", message });
  });

  test("a compressed archive", async () => {
    expect(await rejection(openTorch(join(vectors, "deflated.pt")))).toMatchObject({ code: "unsupported" });
  });

  test.each([
    ["a pickle of something else", Buffer.from([0x80, 2, 0x4b, 7, 0x2e])],
    ["an archive of something else", Buffer.concat([Buffer.from("PK\x05\x06"), Buffer.alloc(18)])],
    ["text", Buffer.from("version https://git-lfs.github.com/spec/v1\n")],
    ["nothing", Buffer.alloc(0)],
  ])("%s", async (_, bytes) => {
    expect(await rejection(openTorch(fileWith(bytes, "pytorch_model.bin")))).toBeInstanceOf(CheckpointError);
  });
});

/** The archive with one piece of its pickle changed to one of the same length; its checksums with it. */
function changed(form: string, from: Buffer, to: Buffer): string {
  const bytes = readFileSync(join(vectors, form));
  const at = bytes.indexOf(from);
  expect([at > 0, to.length]).toEqual([true, from.length]);
  to.copy(bytes, at);
  return fileWith(bytes, "model.pt");
}

describe("sizes are checked before memory is asked for", () => {
  // In the old form nothing is checksummed. The matrix is BININT1 5, BININT1 7, TUPLE2; its strides BININT1 7, BININT1 1.
  const shape = Buffer.from([0x4b, 5, 0x4b, 7, 0x86]);

  test("a shape beyond its storage", async () => {
    const error = await rejection(openTorch(changed("torch-legacy.pt", shape, Buffer.from([0x4b, 200, 0x4b, 7, 0x86]))));
    expect(error).toMatchObject({ code: "out_of_range", entry: "model.matrix" });
  });

  test("an expanded row that would fill the memory", async () => {
    const expanded = Buffer.from([0x4b, 2, 0x4b, 6, 0x86]);
    const file = changed("torch-legacy.pt", expanded, Buffer.from([0x4b, 2, 0x4b, 7, 0x86]));
    expect((await openTorch(file)).tensors.get("model.expanded")?.shape).toEqual([2, 7]); // stride 0: any number of columns fits
    // (BININT1 2, BININT1 6) grows to (BININT1 2, LONG1 of 5 bytes: 2^32): the same, with 2^33 elements.
    const bytes = readFileSync(join(vectors, "torch-legacy.pt"));
    const at = bytes.indexOf(expanded);
    const huge = Buffer.concat([
      bytes.subarray(0, at),
      Buffer.from([0x4b, 2, 0x8a, 5, 0, 0, 0, 0, 1, 0x86]),
      bytes.subarray(at + expanded.length),
    ]);
    expect(await rejection(openTorch(fileWith(huge, "model.pt")))).toMatchObject({ code: "too_large", entry: "model.expanded" });
  });

  test("a damaged pickle is noticed by its checksum", async () => {
    const error = await rejection(openTorch(changed("torch-zip.pt", Buffer.from("scalar"), Buffer.from("skalar"))));
    expect(error).toMatchObject({ code: "invalid_header", message: expect.stringContaining("CRC") as string });
  });
});

test("a folder with pytorch_model.bin, alone or in shards, opens like any other", async () => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, "pytorch_model.bin"), readFileSync(join(vectors, "torch-zip.pt")));
  expect((await openCheckpoint(folder)).tensors.get("model.matrix")?.shape).toEqual([5, 7]);

  const sharded = temporaryFolder();
  writeFileSync(join(sharded, "a.bin"), readFileSync(join(vectors, "torch-legacy.pt")));
  const weightMap = Object.fromEntries([...(await openCheckpoint(folder)).tensors.keys()].map((name) => [name, "a.bin"]));
  writeFileSync(join(sharded, "pytorch_model.bin.index.json"), JSON.stringify({ weight_map: { ...weightMap, gone: "b.bin" } }));
  expect(await rejection(openCheckpoint(sharded))).toMatchObject({ problems: [{ code: "missing_shard" }] });
  writeFileSync(join(sharded, "pytorch_model.bin.index.json"), JSON.stringify({ weight_map: weightMap }));
  expect((await openCheckpoint(sharded)).tensors.size).toBe(21);
});
