import { input, symbol } from "@waggle/graph";
import { expect, test } from "vitest";
import { runGraph } from "../../../testing/run-graph.ts";
import { expectClose, float32, floats, int64 } from "../../../testing/tensors.ts";
import { computedSource, initialize, Linear, type LowRankUpdate, MultiLoraLinear, Sequential, setAdapterRows } from "./index.ts";

const [inner, outer] = [6, 5];

function update(r: number, scale: number): LowRankUpdate {
  const source = (name: string, shape: readonly [number, number]) =>
    computedSource("float32", shape, `${name} ${r}`, async () =>
      Float32Array.from({ length: shape[0] * shape[1] }, (_, i) => Math.sin(i * r + name.length)),
    );
  return { A: source("A", [r, inner]), B: source("-B", [outer, r]), lora_alpha: scale * r, scale, transposed: false };
}

/** x · (s·B·A)ᵀ, in float64. */
async function product(x: readonly number[], { A, B, scale }: LowRankUpdate): Promise<readonly number[]> {
  const [a, b] = await Promise.all([A, B].map(async (source) => new Float32Array((await source.read()).slice().buffer)));
  const r = A.shape[0] ?? 0;
  const low = Array.from({ length: r }, (_, k) => x.reduce((sum, value, i) => sum + value * (a?.[k * inner + i] ?? Number.NaN), 0));
  return Array.from({ length: outer }, (_, j) => scale * low.reduce((sum, value, k) => sum + value * (b?.[j * r + k] ?? Number.NaN), 0));
}

test("each row takes its own update, whatever their ranks; a row with none is the base's, bit by bit", async () => {
  const base = new Linear(inner, outer);
  initialize(base, { seed: 2 });
  const updates = [update(1, 2), null, update(3, 0.5)];
  const layer = new MultiLoraLinear(base, updates);
  const x = input("x", "float32", [symbol("B"), 1, inner]);
  const rows = input("rows", "int64", [symbol("B")]);
  const y = base.forward(x);
  setAdapterRows(new Sequential(layer), rows);
  const chosen = layer.forward(x);
  setAdapterRows(new Sequential(layer), null);
  const none = layer.forward(x);
  const values = Array.from({ length: 4 * inner }, (_, i) => Math.fround(Math.cos(i)));
  const taken = [3, 0, 1, 2];
  const feeds = { x: float32(values, [4, 1, inner]), rows: int64(taken) };
  const got = await runGraph({ inputs: { x, rows }, outputs: { chosen, y, none } }, feeds);
  expect(floats(got.none)).toEqual(floats(got.y));
  for (const [b, k] of taken.entries()) {
    const [mine, plain] = [got.chosen, got.y].map((tensor) => floats(tensor).slice(b * outer, (b + 1) * outer)) as [
      Float32Array,
      Float32Array,
    ];
    const own = updates[k - 1];
    if (!own) {
      expect(mine).toEqual(plain);
      continue;
    }
    const delta = await product(values.slice(b * inner, (b + 1) * inner), own);
    const sum = delta.map((value, j) => value + (plain[j] ?? Number.NaN));
    expectClose(float32(mine, [outer]), float32(sum, [outer]), { abs: 1e-5, rel: 1e-5 });
  }
});
