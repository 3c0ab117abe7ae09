import { InferenceSession, Tensor } from "onnxruntime-node";
import { expect, test } from "vitest";
import {
  constant,
  dimMul,
  type GraphDefinition,
  grad,
  input,
  lower,
  ops,
  serialize,
  symbol,
  type Target,
  type Value,
  Weight,
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
  rotary: (v) => {
    const [x, angle] = [ops.reshape(v, [B, S, 2, 4]), ops.mul(ops.cast(ops.range(S), "float32"), 0.7)];
    const table = ops.mul(ops.reshape(angle, [1, S, 1]), constant([1, 0.1], { shape: [1, 1, 2] })); // one row of the batch for all
    return ops.rotaryEmbedding(ops.transpose(x, [0, 2, 1, 3]), ops.cos(table), ops.sin(table));
  },
  rotaryOfEach: (v) => {
    const angles = ops.slice(v, { axis: 2, end: 2 });
    const whole = ops.concat([angles, angles], 2); // both halves, as transformers lays its tables out
    return ops.rotaryEmbedding(ops.unsqueeze(ops.slice(v, { axis: 2, end: 4 }), 1), ops.cos(whole), ops.sin(whole));
  },
  double: (v) => ops.cast(ops.matmul(ops.cast(v, "float64"), ops.cast(v, "float64"), { transB: true, alpha: 0.5 }), "float32"),
  half: (v) => ops.cast(ops.add(ops.silu(ops.cast(v, "float16")), 0.5), "float32"),
  range: (v) => ops.mul(v, ops.unsqueeze(ops.cast(ops.range(S), "float32"), 1)),
  tail: (v) => ops.slice(v, { axis: 1, start: -1 }),
  scaledRows: (v) => ops.add(ops.mul(ops.reduceMax(v, { axes: [-1], keepDims: true }), ops.exp(v)), v),
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

const opsOf = (y: Value, target: Target = "portable"): string[] =>
  lower({ inputs: { x }, outputs: { y } }, target).nodes.map((node) => node.op);

test("reshapes and transposes in a row become one, or none", () => {
  expect(opsOf(ops.transpose(ops.transpose(ops.exp(x), [1, 2, 0]), [2, 0, 1]))).toEqual(["Exp"]);
  expect(opsOf(ops.transpose(ops.transpose(x, [1, 0, 2]), [0, 2, 1]))).toEqual(["Transpose"]);
  expect(opsOf(ops.reshape(ops.reshape(x, [B, S, 2, 4]), [B, S, 4, 2]))).toEqual(["Reshape"]);
  expect(opsOf(ops.reshape(ops.reshape(x, [dimMul(B, S), 8]), [B, S, 8]))).toEqual(["Identity"]);
  expect(opsOf(ops.unsqueeze(x, 1))).toEqual(["Unsqueeze"]);
  expect(opsOf(ops.squeeze(ops.mul(ops.unsqueeze(x, -1), 2), 3))).toEqual(["Unsqueeze", "Mul", "Squeeze"]);
});

test("rows times a factor each are added in one pass, if nothing is broadcast", () => {
  const factor = ops.reduceMax(x, { axes: [-1], keepDims: true });
  const scaled = ops.mul(x, factor);
  expect(opsOf(ops.add(ops.exp(x), scaled), "onnxruntime")).toEqual(["Exp", "ReduceMax", "GatedAdd"]);
  expect(opsOf(ops.add(ops.exp(x), scaled))).toEqual(["Exp", "ReduceMax", "Mul", "Add"]);
  expect(opsOf(ops.add(factor, scaled), "onnxruntime")).toEqual(["ReduceMax", "Mul", "Add"]);
  expect(opsOf(ops.add(x, ops.mul(x, constant([2]))), "onnxruntime")).toEqual(["Mul", "Add"]);
});

test("operands are written in their order, and what fusing leaves behind is dropped", () => {
  const table = ops.mul(x, ops.mul(constant([1, 2, 3, 4, 5, 6, 7, 8]), 2));
  const cosines = ops.cos(ops.slice(table, { axis: 2, end: 4 }));
  const y = ops.rotaryEmbedding(ops.unsqueeze(x, 1), cosines, ops.sin(ops.slice(table, { axis: 2, end: 4 })));
  const lowered = lower({ inputs: { x }, outputs: { y } }, "onnxruntime");
  expect(lowered.nodes.filter((node) => node.op === "RotaryEmbedding")).toHaveLength(1);
  const made = new Set(["x", ...lowered.constants.map(({ name }) => name)]);
  for (const node of lowered.nodes) {
    for (const name of node.inputs) expect(made, `${node.op} reads ${name} before it is there`).toContain(name);
    for (const name of node.outputs) made.add(name);
  }
  const read = new Set(lowered.nodes.flatMap((node) => node.inputs));
  for (const node of lowered.nodes) expect(node.outputs.some((name) => read.has(name) || name === "y")).toBe(true);
  for (const { name } of lowered.constants) expect(read).toContain(name);
});

test("constants are folded with broadcasting, in float32 and int64, up to a limit", () => {
  const folded = (y: Value): unknown => {
    const { nodes, constants } = lower({ inputs: {}, outputs: { y } }, "portable");
    return nodes.every((node) => node.op === "Identity") ? [...(constants[0]?.value.data ?? [])] : nodes.map((node) => node.op);
  };
  const column = constant([1, 2], { shape: [2, 1] });
  expect(folded(ops.add(column, constant([10, 20, 30])))).toEqual([11, 21, 31, 12, 22, 32]);
  expect(folded(ops.div(1, ops.sqrt(constant([4, 16]))))).toEqual([0.5, 0.25]);
  expect(folded(ops.mul(constant([3n, -4n]), constant(5n)))).toEqual([15n, -20n]);
  expect(folded(ops.cast(constant([3n, -4n]), "float32"))).toEqual([3, -4]);
  expect(folded(ops.mul(constant([2n ** 40n]), constant(2n ** 40n)))).toEqual(["Mul"]);
  expect(folded(ops.add(constant(new Float32Array(100), { shape: [100, 1] }), constant(new Float32Array(100))))).toEqual(["Add"]);
});

test("a reshape with several open axes computes its target when it runs, also for an empty axis", async () => {
  const P = symbol("P");
  const a = input("a", "float32", [B, S, P, 4]);
  const y = ops.reshape(a, [S, dimMul(B, P), 2, 2]);
  for (const [b, s, p] of [
    [2, 3, 5],
    [1, 2, 0],
  ] as const) {
    const size = b * s * p * 4;
    const { y: result } = await run({ inputs: { a }, outputs: { y } }, { a: new Tensor("float32", ramp(size), [b, s, p, 4]) }, "portable");
    expect(result?.dims).toEqual([s, b * p, 2, 2]);
    expect(result?.data).toEqual(ramp(size));
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

test("gradients follow open axes, several results and paths that meet again", async () => {
  const w = input("w", "float32", [8]);
  const [a, b] = ops.split(ops.mul(x, w), [3, 5], 2);
  const late = ops.exp(ops.mul(ops.reduceSum(b ?? x), 0.01)); // reads the second piece after the first was used up
  const loss = ops.add(ops.reduceMean(ops.mul(a ?? x, a ?? x)), late);
  const [dx, dw, none] = grad(loss, [x, w, weight]);
  expect([dx?.shape, dw?.shape, none?.shape]).toEqual([[B, S, 8], [8], [6, 8]]);
  const [data, factors] = [ramp(2 * 3 * 8), ramp(8, 0.9)];
  const graph = { inputs: { x, w }, outputs: { dx: dx ?? x, dw: dw ?? w, none: none ?? w } };
  const result = await run(graph, { x: new Tensor("float32", data, [2, 3, 8]), w: new Tensor("float32", factors, [8]) }, "portable");
  const product = data.map((value, i) => value * (factors[i % 8] ?? 0));
  const tail = Math.exp(0.01 * product.reduce((sum, value, i) => sum + (i % 8 >= 3 ? value : 0), 0));
  const upstream = product.map((value, i) => (i % 8 < 3 ? (2 * value) / 18 : 0.01 * tail));
  for (const [i, value] of upstream.entries()) expect(result.dx?.data[i]).toBeCloseTo(value * (factors[i % 8] ?? 0), 5);
  for (let k = 0; k < 8; k += 1) {
    const wanted = upstream.reduce((sum, value, i) => sum + (i % 8 === k ? value * (data[i] ?? 0) : 0), 0);
    expect(result.dw?.data[k]).toBeCloseTo(wanted, 4);
  }
  expect(result.none?.data).toEqual(new Float32Array(48));
});
