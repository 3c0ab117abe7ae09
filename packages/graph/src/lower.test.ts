import { InferenceSession, Tensor } from "onnxruntime-node";
import { expect, test } from "vitest";
import { constant, type GraphDefinition, input, lower, ops, serialize, symbol, type Target, type Value, Weight } from "./index.ts";

async function run(graph: GraphDefinition, feeds: Record<string, Tensor>, target: Target, weights: ReadonlyMap<Weight, Float32Array> = new Map()): Promise<Record<string, Tensor>> {
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
  gelu: ops.gelu, geluTanh: ops.geluTanh, quickGelu: ops.quickGelu, silu: ops.silu,
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
  const a = fused["y"]?.data as Float32Array;
  const b = portable["y"]?.data as Float32Array;
  expect(fused["y"]?.dims).toEqual(portable["y"]?.dims);
  y.shape.forEach((dim, axis) => typeof dim === "number" && expect(fused["y"]?.dims[axis]).toBe(dim));
  a.forEach((value, i) => expect(Math.abs(value - (b[i] ?? Number.NaN))).toBeLessThanOrEqual(1e-5 + 1e-5 * Math.abs(value)));
});
