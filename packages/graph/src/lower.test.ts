import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { expect, test } from "vitest";
import {
  constant,
  dimAdd,
  dimMul,
  dimSub,
  type GraphDefinition,
  input,
  lower,
  ops,
  ShapeError,
  serialize,
  shapeOf,
  symbol,
  type Target,
  type Value,
  Weight,
  type WeightSource,
  writeOnnx,
} from "./index.ts";

async function run(
  graph: GraphDefinition,
  feeds: Record<string, Tensor>,
  target: Target,
  weights: ReadonlyMap<Weight, Float32Array> = new Map(),
): Promise<Record<string, Tensor>> {
  const bytes = serialize(lower(graph, target), (weight) => new Uint8Array(weights.get(weight)?.buffer ?? new ArrayBuffer(0)));
  const session = await InferenceSession.create(bytes);
  return (await session.run(feeds)) as Record<string, Tensor>;
}

const ramp = (length: number, step = 0.37): Float32Array => Float32Array.from({ length }, (_, i) => Math.sin(i * step) * 2);
const [B, S] = [symbol("B"), symbol("S")];
const x = input("x", "float32", [B, S, 8]);
const weight = new Weight([6, 8]);

const cases: Record<string, (x: Value) => Value> = {
  linear: (v) => ops.linear(v, weight, constant(ramp(6))),
  rmsNorm: (v) => ops.rmsNorm(v, constant(ramp(8)), { epsilon: 1e-5 }),
  layerNorm: (v) => ops.layerNorm(v, constant(ramp(8)), constant(ramp(8)), { epsilon: 1e-5 }),
  gelu: ops.gelu,
  geluTanh: ops.geluTanh,
  quickGelu: ops.quickGelu,
  silu: ops.silu,
  attention: (v) => {
    const heads = ops.transpose(ops.reshape(v, [B, S, 4, 2]), [0, 2, 1, 3]);
    const keys = ops.slice(heads, { axis: 1, end: 2 });
    return ops.attention(heads, keys, keys, { causal: true });
  },
  merge: (v) => ops.reshape(ops.transpose(v, [1, 0, 2]), [-1, 4]),
  alpha: (v) => ops.matmul(v, v, { transA: true, alpha: 0.5 }),
  range: (v) => ops.mul(v, ops.unsqueeze(ops.cast(ops.range(S), "float32"), 1)),
  tail: (v) => ops.slice(v, { axis: 1, start: -1 }),
};

test.each(Object.keys(cases))("%s: portable and fused agree, with the shape that was promised", async (name) => {
  const y = cases[name]?.(x);
  if (y === undefined) throw new Error(name);
  const graph = { inputs: { x }, outputs: { y } };
  const feeds = { x: new Tensor("float32", ramp(2 * 3 * 8), [2, 3, 8]) };
  const weights = new Map([[weight, ramp(48, 0.11)]]);
  const [fused, portable] = [await run(graph, feeds, "onnxruntime", weights), await run(graph, feeds, "portable", weights)];
  const a = fused.y?.data as Float32Array;
  const b = portable.y?.data as Float32Array;
  expect(fused.y?.dims).toEqual(portable.y?.dims);
  for (const [axis, dim] of y.shape.entries()) if (typeof dim === "number") expect(fused.y?.dims[axis]).toBe(dim);
  for (const [i, value] of a.entries()) expect(Math.abs(value - (b[i] ?? Number.NaN))).toBeLessThanOrEqual(1e-5 + 1e-5 * Math.abs(value));
});

test("equal nodes are written once, unused ones not at all, constants are folded, and the bytes are always the same", () => {
  const scale = ops.mul(constant([1, 2]), constant([3, 4]));
  const again = ops.mul(constant([1, 2]), constant([3, 4]));
  const v = input("v", "float32", [B, 2]);
  ops.exp(v);
  const graph = {
    inputs: { v },
    outputs: { y: ops.add(ops.sin(ops.mul(v, scale)), ops.sin(ops.mul(v, again))), twin: ops.sin(ops.mul(v, scale)) },
  };
  const lowered = lower(graph, "portable");
  expect(lowered.nodes.map((node) => node.op)).toEqual(["Mul", "Sin", "Add"]);
  expect(lowered.constants.map(({ value }) => [...value.data])).toEqual([[3, 8]]);
  expect(serialize(lowered, () => new Uint8Array())).toEqual(serialize(lower(graph, "portable"), () => new Uint8Array()));
});

test("a reshape with several open axes computes its target when it runs, also for an empty axis", async () => {
  const P = symbol("P");
  const a = input("a", "float32", [B, S, P, 4]);
  const y = ops.reshape(a, [S, dimMul(B, P), 2, 2]);
  for (const dims of [
    [2, 3, 5, 4],
    [1, 2, 0, 4],
  ] as const) {
    const size = dims.reduce((product, dim) => product * dim, 1);
    const { y: result } = await run({ inputs: { a }, outputs: { y } }, { a: new Tensor("float32", ramp(size), dims) }, "portable");
    expect(result?.dims).toEqual([dims[1], dims[0] * dims[2], 2, 2]);
    expect(result?.data).toEqual(ramp(size));
  }
});

test("weights stored in half precision are cast, a table that is only gathered row by row", async () => {
  const table = new Weight([4, 2]);
  const ids = input("ids", "int64", [S]);
  const half = Uint16Array.of(0x3c00, 0x4000, 0x4200, 0x4400, 0x4500, 0x4600, 0x4700, 0x4800); // 1 … 8
  const folder = await mkdtemp(join(tmpdir(), "graph-"));
  const source: WeightSource = { dtype: "float16", shape: [4, 2], fingerprint: "half", read: async () => new Uint8Array(half.buffer) };
  table.source = source;
  try {
    for (const y of [ops.embedding(ids, table), ops.gather(ops.mul(table, 1), ids)]) {
      await writeOnnx({ inputs: { ids }, outputs: { y } }, join(folder, "model.onnx"));
      const session = await InferenceSession.create(join(folder, "model.onnx"));
      const result = await session.run({ ids: new Tensor("int64", [3n, 0n], [2]) });
      expect(result.y?.data).toEqual(Float32Array.of(7, 8, 1, 2));
    }
    expect((await readdir(folder)).sort()).toEqual(["model.onnx", "model.onnx_data"]);
    await expect(writeOnnx({ inputs: {}, outputs: { y: ops.neg(new Weight([2])) } }, join(folder, "other.onnx"))).rejects.toThrow(
      /1 weights have no source/,
    );
    await expect(
      writeOnnx({ inputs: { ids }, outputs: { y: ops.embedding(ids, table) } }, join(folder, "other.onnx"), {
        signal: AbortSignal.abort(),
      }),
    ).rejects.toThrow();
    expect((await readdir(folder)).sort()).toEqual(["model.onnx", "model.onnx_data"]);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("what a graph lacks is said by name", () => {
  const y = ops.reshape(input("hidden", "float32", [S, 2]), [dimMul(S, 2)]);
  expect(() => lower({ inputs: {}, outputs: { y } }, "portable")).toThrowErrorMatchingInlineSnapshot(
    `[GraphError: lower: input "hidden" [S, 2] is used but is not among the graph's inputs. Add it to \`inputs\`.]`,
  );
  expect(() => lower({ inputs: {}, outputs: { y: ops.range(symbol("Q")) } }, "portable")).toThrowErrorMatchingInlineSnapshot(
    `[GraphError: lower: no input of the graph has the open dimension Q as an axis of its own; known are none.]`,
  );
  expect(() => lower({ inputs: { x }, outputs: { x } }, "portable")).toThrowErrorMatchingInlineSnapshot(
    `[GraphError: lower: "x" names an input and an output; give them different names.]`,
  );
  expect(() => lower({ inputs: { x }, outputs: {} }, "portable")).toThrowErrorMatchingInlineSnapshot(
    `[GraphError: lower: the graph has no outputs.]`,
  );
  expect(() =>
    serialize(lower({ inputs: {}, outputs: { y: ops.neg(weight) } }, "portable"), () => new Uint8Array(3)),
  ).toThrowErrorMatchingInlineSnapshot(`[GraphError: serialize: weight "weight_1" float32 [6, 8] needs 192 bytes, got 3.]`);
});

test("symbolic sizes are polynomials in canonical form", () => {
  expect(String(dimAdd(dimMul(S, 2), dimSub(B, S)))).toBe(String(dimAdd(B, S)));
  expect(dimSub(dimAdd(S, 3), S)).toBe(3);
  expect(ops.reshape(input("a", "float32", [B, S, 4]), [-1, 2]).shape.map(String)).toEqual(["2*B*S", "2"]);
  expect(() => ops.reshape(input("a", "float32", [B, S, 4]), [-1, 8])).toThrow(ShapeError);
  expect(shapeOf(input("a", "float32", [B, S, 4]), "B S? D")).toEqual([B, S, 4]);
  expect(() => shapeOf(input("a", "float32", [B, S, 4]), "B N D")).toThrowErrorMatchingInlineSnapshot(
    `[ShapeError: shapeOf: axis N of [B, N, D] must be known when the graph is written, got the open S in [B, S, 4]. Write "N?" if an open size is welcome.]`,
  );
  expect(() => shapeOf(input("a", "float32", [B, 4]), "B N D")).toThrowErrorMatchingInlineSnapshot(
    `[ShapeError: shapeOf: expected 3 axes [B, N, D], got [B, 4].]`,
  );
});
