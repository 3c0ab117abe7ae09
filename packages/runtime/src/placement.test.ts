import { mkdtempSync, readdirSync, realpathSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type DataType, input, ops, Weight, type WeightSource } from "@waggle/graph";
import { Tensor } from "onnxruntime-common";
import { afterAll, expect, test } from "vitest";
import { placeWeights, Runtime } from "./index.ts";

const runtime = new Runtime({ threads: 1 });
const folder = realpathSync(mkdtempSync(join(tmpdir(), "waggle-placement-")));
afterAll(() => {
  runtime.dispose();
  rmSync(folder, { recursive: true });
});

const bytesOf = (array: ArrayBufferView) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

function inMemory(dtype: DataType, shape: readonly number[], data: ArrayBufferView): WeightSource {
  return { dtype, shape, fingerprint: "test", read: async () => bytesOf(data) };
}

/** Writes `data` at an odd place of a new file below the folder. */
function inFile(path: string, dtype: DataType, shape: readonly number[], data: ArrayBufferView): WeightSource {
  const offset = 7;
  const whole = Buffer.concat([Buffer.alloc(offset, 0xff), bytesOf(data), Buffer.alloc(3, 0xff)]);
  const file = join(folder, path);
  writeFileSync(file, whole);
  const read = () => Promise.reject(new Error("a mapped weight is not read"));
  return { dtype, shape, location: { path: file, offset, byteLength: data.byteLength }, fingerprint: path, read };
}

function weight(shape: readonly number[], source: WeightSource | null, dtype: DataType = "float32"): Weight {
  return Object.assign(new Weight(shape, dtype), { source });
}

const x = input("x", "float32", [1, 2]);
const ones = { x: new Tensor("float32", Float32Array.of(1, 1), [1, 2]) };

test("mapped where they lie: at any offset, in several folders, through links", async () => {
  const [left, right] = [mkdtempSync(join(folder, "left-")), mkdtempSync(join(folder, "right-"))];
  const a = inFile(join(left.slice(folder.length), "a.bin"), "float32", [2, 2], Float32Array.of(1, 2, 3, 4));
  const b = inFile(join(right.slice(folder.length), "b.bin"), "float32", [2], Float32Array.of(10, 20));
  symlinkSync(a.location?.path ?? "", join(right, "link.bin"));
  const linked = { ...a, location: { ...a.location, path: join(right, "link.bin") } } as WeightSource;
  for (const source of [a, linked]) {
    using session = await runtime.compile({
      inputs: { x },
      outputs: { y: ops.add(ops.matmul(x, weight([2, 2], source)), weight([2], b)) },
    });
    expect([...(await session.run(ones)).y.data]).toEqual([14, 26]);
  }
});

test("computed ones go inside the model, or through a temporary file that is gone when the session exists", async () => {
  const temporary = () => readdirSync(tmpdir()).filter((name) => name.startsWith("waggle-weights-"));
  const before = temporary();
  const large = new Float32Array(2 * 9_000_000).map((_, i) => i % 5); // 72 MB
  const phases = new Set<string>();
  const w = weight([2, 9_000_000], inMemory("float32", [2, 9_000_000], large));
  const small = weight([1], inMemory("float32", [1], Float32Array.of(0.5)));
  const outputs = { y: ops.slice(ops.add(ops.matmul(x, w), small), { axis: 1, start: 8_999_990 }) };
  using session = await runtime.compile({ inputs: { x }, outputs }, { onProgress: ({ phase }) => phases.add(phase) });
  if (process.platform !== "win32") expect(temporary()).toEqual(before);
  expect([...phases]).toEqual(["write", "load"]);
  const expected = Array.from({ length: 10 }, (_, i) => ((8_999_990 + i) % 5) + ((9_000_000 + 8_999_990 + i) % 5) + 0.5);
  expect([...(await session.run(ones)).y.data]).toEqual(expected);
});

test.each([
  ["float16", Uint16Array.of(0x3c00, 0xc000, 0x3800, 0x3555)],
  ["bfloat16", Uint16Array.of(0x3f80, 0xc000, 0x3f00, 0x3eab)],
] as const)("stored as %s they are cast when they are loaded", async (dtype, stored) => {
  for (const source of [inFile(`${dtype}.bin`, dtype, [4], stored), inMemory(dtype, [4], stored)]) {
    using session = await runtime.compile({ inputs: {}, outputs: { y: ops.mul(weight([4], source), 1) } });
    const { y } = await session.run({});
    expect([...(y.data as Float32Array)].map((value) => Math.round(value * 1000))).toEqual([
      1000,
      -2000,
      500,
      dtype === "float16" ? 333 : 334,
    ]);
  }
});

test("with `convert`, those of another type come from where it says; the others are not asked for", async () => {
  const half = inFile("half.bin", "float16", [2], Uint16Array.of(0x3c00, 0x4000));
  const converted = inFile("converted.bin", "float32", [2], Float32Array.of(1, 2));
  const asked: unknown[] = [];
  const weights = placeWeights({
    convert: async (requests) => {
      asked.push(requests);
      return new Map(requests.flatMap(({ name }) => (converted.location ? [[name, converted.location] as const] : [])));
    },
  });
  const plain = weight([2], inMemory("float32", [2], Float32Array.of(10, 20)));
  using session = await runtime.compile({ inputs: {}, outputs: { y: ops.add(weight([2], half), plain) } }, { weights });
  expect([...(await session.run({})).y.data]).toEqual([11, 22]);
  expect(asked).toEqual([[{ name: expect.any(String), source: half, dtype: "float32" }]]);
});

test("with `convert`, float32 ones that are computed come from there too, where they are too large for the model", async () => {
  const shape = [2 ** 23 + 1]; // 32 MiB and a little: two are too much
  const source = inMemory("float32", shape, new Float32Array(0));
  const file = join(folder, "computed");
  const byteLength = 4 * (2 ** 23 + 1);
  writeFileSync(file, "");
  truncateSync(file, byteLength);
  const asked: string[] = [];
  const placer = placeWeights({
    convert: async (requests) => {
      asked.push(...requests.map(({ name }) => name));
      return new Map(requests.map(({ name }) => [name, { path: file, offset: 0, byteLength }]));
    },
  });
  const weights = ["a", "b"].map((name) => ({ name, source, dtype: "float32" as const, shape }));
  const { place } = await placer(weights, {});
  expect(asked).toEqual(["a", "b"]);
  expect(place.get("b")).toMatchObject({ location: "computed", byteLength });
});

test("says which weights have no data, or other data than they should", async () => {
  const compile = (...weights: Weight[]) =>
    runtime.compile({ name: "bad", inputs: {}, outputs: Object.fromEntries(weights.map((w, i) => [`y${i}`, ops.mul(w, 1)])) });
  const named = (label: string, w: Weight) => Object.assign(w, { label });
  await expect(
    compile(named("norm.weight", weight([2], null)), named("norm.bias", weight([2], null))),
  ).rejects.toThrowErrorMatchingInlineSnapshot(`
    [RuntimeError: bad:
      norm.weight: float32 [2] has no data. Load a state_dict or initialize its module first.
      norm.bias: float32 [2] has no data. Load a state_dict or initialize its module first.]
  `);
  await expect(
    compile(named("norm.weight", weight([2], inMemory("float32", [3], new Float32Array(3))))),
  ).rejects.toThrowErrorMatchingInlineSnapshot(`[RuntimeError: bad: norm.weight: expected [2], its source has [3].]`);
  await expect(
    compile(named("norm.weight", weight([2], inMemory("float32", [2], new Float32Array(3))))),
  ).rejects.toThrowErrorMatchingInlineSnapshot(`[RuntimeError: norm.weight: float32 [2] has 8 bytes, its source gave 12.]`);
  const cut = inFile("cut.bin", "float32", [2], Float32Array.of(1, 2));
  const short = { ...cut, location: { ...cut.location, byteLength: 4 } } as WeightSource;
  truncateSync(cut.location?.path ?? "", 12);
  const both = compile(named("cut", weight([2], cut)), named("short", weight([2], short)));
  await expect(both).rejects.toMatchObject({ code: "weights" });
  expect(String(await both.catch((error: unknown) => error)).replaceAll(folder, "FOLDER")).toMatchInlineSnapshot(`
    "RuntimeError: Weights are not where they should be:
      cut: ends at byte 15 of FOLDER/cut.bin, which has 12.
      short: float32 [2] has 8 bytes, its place in FOLDER/cut.bin has 4."
  `);
  const gone = { ...cut, location: { ...cut.location, path: join(folder, "gone.bin") } } as WeightSource;
  await expect(compile(weight([2], gone))).rejects.toMatchObject({
    code: "weights",
    message: expect.stringContaining("gone.bin: cannot be read: ENOENT"),
  });
});
