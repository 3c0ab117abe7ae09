import { execFileSync } from "node:child_process";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { expect, test } from "vitest";
import { constant, type GraphDefinition, grad, input, lower, ops, recompute, serialize, symbol, type Value } from "./index.ts";

const [S, D] = [symbol("S"), 4];
const x = input("x", "float32", [S, D]);
const scale = input("scale", "float32", [D]);
const weights = Array.from({ length: 3 }, (_, i) => input(`w${i}`, "float32", [D, D]));
const inputs = { x, scale, ...Object.fromEntries(weights.map((weight, i) => [`w${i}`, weight])) };
const numbers = (count: number, from: number): Float32Array => Float32Array.from({ length: count }, (_, i) => Math.sin(from + i * 1.7));
const feeds = {
  x: new Tensor("float32", numbers(3 * D, 1), [3, D]),
  scale: new Tensor("float32", numbers(D, 2), [D]),
  ...Object.fromEntries(weights.map((_, i) => [`w${i}`, new Tensor("float32", numbers(D * D, i), [D, D])])),
};

async function run(outputs: GraphDefinition["outputs"]): Promise<Readonly<Record<string, readonly number[]>>> {
  const bytes = serialize(lower({ inputs, outputs }, "onnxruntime"), () => new Uint8Array());
  const results = await (await InferenceSession.create(bytes)).run(feeds);
  return Object.fromEntries(Object.entries(results).map(([name, { data }]) => [name, Array.from(data as Float32Array)]));
}

type Mark = typeof recompute;
const keepAll: Mark = (values, block) => block(...values);
const layer = (h: Value, weight: Value): Value =>
  ops.add(h, ops.mul(ops.tanh(ops.matmul(ops.rmsNorm(h, scale, { epsilon: 1e-5 }), weight)), scale));

/** Models that are written with blocks marked, and with the same blocks plain. */
const models: Readonly<Record<string, (mark: Mark) => Value>> = {
  "a layer after the other": (mark) => weights.reduce<Value>((h, weight) => mark([h], (inner) => layer(inner, weight)), x),
  "one weight in all of them": (mark) => weights.reduce<Value>((h) => mark([h], (inner) => layer(inner, weights[0] as Value)), x),
  "blocks within a block": (mark) =>
    mark([x], (outer) => weights.reduce<Value>((h, weight) => mark([h], (inner) => layer(inner, weight)), ops.mul(outer, 2))),
  "two results, one of them twice": (mark) => {
    const [a, b, c] = mark([x, weights[0] as Value], (h, weight) => {
      const inner = layer(h, weight);
      return [inner, ops.sin(inner), inner];
    }) as readonly [Value, Value, Value];
    return ops.add(ops.mul(a, b), ops.mul(c, 0.3));
  },
  "a value from outside that depends on a weight": (mark) => {
    const gate = ops.sigmoid(ops.matmul(x, weights[1] as Value));
    return mark([layer(x, weights[0] as Value)], (h) => ops.mul(ops.exp(h), gate));
  },
  "a result that is only passed on": (mark) => {
    const [same, other] = mark([layer(x, weights[0] as Value)], (h) => [h, ops.cos(h)]) as readonly [Value, Value];
    return ops.mul(same, other);
  },
  "a result that nobody uses": (mark) => (mark([x], (h) => [layer(h, weights[0] as Value), ops.exp(h)]) as readonly [Value, Value])[0],
  "an input that nothing learns from": (mark) =>
    mark([ops.relu(constant([1, 2, 3, 4])), x], (frozen, h) => ops.mul(ops.exp(frozen), ops.matmul(h, weights[2] as Value))),
};

test.each(Object.entries(models))("%s: the same loss and the same gradients", async (_, model) => {
  const outputsOf = (mark: Mark): GraphDefinition["outputs"] => {
    const loss = ops.reduceSum(ops.sin(model(mark)));
    return { loss, ...Object.fromEntries(grad(loss, Object.values(inputs)).map((value, i) => [`d${i}`, value])) };
  };
  const [kept, again] = [await run(outputsOf(keepAll)), await run(outputsOf(recompute))];
  for (const [name, values] of Object.entries(kept)) {
    for (const [i, value] of values.entries()) expect(again[name]?.[i], `${name}[${i}]`).toBeCloseTo(value, 5); // sums in another order
  }
});

test("the block is written a second time", () => {
  const loss = ops.reduceSum(models["a layer after the other"]?.(recompute) ?? x);
  const { nodes } = lower({ inputs, outputs: { loss, dx: grad(loss, [x])[0] ?? x } }, "onnxruntime");
  expect(nodes.filter(({ op }) => op === "Tanh")).toHaveLength(2 * weights.length);
  const plain = ops.reduceSum(models["a layer after the other"]?.(keepAll) ?? x);
  const once = lower({ inputs, outputs: { plain, dx: grad(plain, [x])[0] ?? x } }, "onnxruntime").nodes;
  expect(once.filter(({ op }) => op === "Tanh")).toHaveLength(weights.length);
});

test("12 layers: the same numbers in at most 60 % of the memory", { timeout: 120_000 }, () => {
  const [keep, again] = ["keep", "recompute"].map((side) => {
    const file = new URL("../../../bench/recompute-side.ts", import.meta.url).pathname;
    const output = execFileSync(process.execPath, ["--conditions=@waggle/source", "--import", "tsx", file, side, "2"], {
      encoding: "utf8",
    });
    return JSON.parse(output) as { readonly peak: number; readonly norms: readonly number[] };
  });
  expect(again?.peak).toBeLessThan(0.6 * (keep?.peak ?? 0));
  for (const [i, norm] of (keep?.norms ?? []).entries())
    expect(Math.abs((again?.norms[i] ?? 0) / norm - 1), `gradient ${i}`).toBeLessThan(1e-5);
});
