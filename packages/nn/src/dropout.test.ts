import { grad, input, ops, symbol, type Value } from "@waggle/graph";
import { Tensor } from "onnxruntime-node";
import { beforeAll, describe, expect, test } from "vitest";
import { compileGraph, type Feeds, runGraph } from "../../../testing/run-graph.ts";
import { expectClose, float32, floats, int64 } from "../../../testing/tensors.ts";
import { dropout } from "./dropout.ts";
import { addLora, computedSource, initialize, Linear, Module, ModuleDict, setDropoutSeed } from "./index.ts";
import { hash } from "./random.ts";

const seed = input("seed", "int64", []);
const [B, S] = [symbol("B"), symbol("S")];
const [T, C, p] = [512, 384, 0.3];
let run: (feeds: Feeds) => ReturnType<Awaited<ReturnType<typeof compileGraph>>>;

beforeAll(async () => {
  const x = input("x", "float32", [B, S, C]);
  const outputs = { a: dropout(x, { p, seed, stream: "a" }), b: dropout(x, { p, seed, stream: "b" }) };
  run = await compileGraph({ inputs: { x, seed }, outputs });
});

/** 1 where an element was dropped, of T rows. */
async function masks(seedValue: number): Promise<{ readonly a: Uint8Array; readonly b: Uint8Array }> {
  const x = new Tensor("float32", new Float32Array(T * C).fill(1), [2, T / 2, C]);
  const { a, b } = await run({ x, seed: int64([seedValue], []) });
  const mask = (y: Tensor | undefined) => Uint8Array.from(floats(y), (value) => Number(value === 0));
  return { a: mask(a), b: mask(b) };
}

/** How many standard deviations `count` of `n` lies from its expectation if each comes with probability q. */
const sigmas = (count: number, n: number, q: number): number => Math.abs(count - n * q) / Math.sqrt(n * q * (1 - q));
const both = (n: number, left: (i: number) => number, right: (i: number) => number): number => {
  let count = 0;
  for (let i = 0; i < n; i++) count += left(i) & right(i);
  return count;
};

test("the mask is the one that the head comment defines, with whole numbers of any size", async () => {
  const WORD = 1n << 32n;
  const mix = (start: bigint): bigint => {
    let x = start % WORD;
    for (const factor of [0x45d9f3bn, 0x2c1b3c6dn]) {
      x = (x * factor) % WORD;
      x = (x + (x >> 16n) ** 2n) % WORD;
    }
    return x;
  };
  for (const value of [0, 1, 7_000_000_019, Number.MAX_SAFE_INTEGER]) {
    const { b } = await masks(value);
    const odd = (name: string, i: number): bigint => {
      const key = mix(mix((BigInt(value) % WORD) + BigInt(hash(`b\0${name}`))) + BigInt(value) / WORD);
      return (mix(mix(key + BigInt(i) * 0x9e3779b9n) + key) / 2n) * 2n + 1n - WORD / 2n;
    };
    const columns = Array.from({ length: C }, (_, i) => odd("columns", i));
    for (let t = 0; t < T; t += 37) {
      const row = odd("rows", t);
      const expected = columns.map((column) => Number(BigInt.asIntN(32, row * column) < BigInt(Math.round(p * 2 ** 32)) - WORD / 2n));
      expect([...b.subarray(t * C, (t + 1) * C)]).toEqual(expected);
    }
  }
});

describe("as if each element were drawn alone (5 standard deviations, fixed seeds)", () => {
  test.each([1, 2, 3, 1_000_000])("seed %i", async (value) => {
    const { a, b } = await masks(value);
    const next = await masks(value + 1);
    const [n, q] = [T * C, p];
    const at = (mask: Uint8Array, i: number): number => mask[i] ?? 0;
    const total = a.reduce((sum, dropped) => sum + dropped, 0);
    expect(sigmas(total, n, q)).toBeLessThan(5);
    // Sums of rows and of columns spread as binomial ones do.
    const sums = (count: number, length: number, place: (i: number, j: number) => number): number[] =>
      Array.from({ length: count }, (_, i) => Array.from({ length }, (_, j) => at(a, place(i, j))).reduce((x, y) => x + y, 0));
    for (const [list, length] of [
      [sums(T, C, (t, c) => t * C + c), C],
      [sums(C, T, (c, t) => t * C + c), T],
    ] as const) {
      const chi2 = list.reduce((sum, count) => sum + sigmas(count, length, q) ** 2, 0);
      expect(Math.abs(chi2 - list.length) / Math.sqrt(2 * list.length)).toBeLessThan(5);
      expect(Math.max(...list.map((count) => sigmas(count, length, q)))).toBeLessThan(5);
    }
    // Pairs: the next column, the next row, a power of two away, another layer, the next step.
    for (const step of [1, 2, 16, C, 2 * C, 64 * C])
      expect(
        sigmas(
          both(
            n - step,
            (i) => at(a, i),
            (i) => at(a, i + step),
          ),
          n - step,
          q * q,
        ),
      ).toBeLessThan(5);
    expect(
      sigmas(
        both(
          n,
          (i) => at(a, i),
          (i) => at(b, i),
        ),
        n,
        q * q,
      ),
    ).toBeLessThan(5);
    expect(
      sigmas(
        both(
          n,
          (i) => at(a, i),
          (i) => at(next.a, i),
        ),
        n,
        q * q,
      ),
    ).toBeLessThan(5);
    // Squares: two rows by two columns, of which a product of random numbers could know the fourth from three.
    for (const [rows, columns] of [
      [1, 1],
      [1, 2],
      [8, 32],
    ] as const) {
      const m = n - rows * C - columns;
      const pair = (i: number): number => at(a, i) & at(a, i + columns);
      expect(
        sigmas(
          both(m, pair, (i) => pair(i + rows * C)),
          m,
          q ** 4,
        ),
      ).toBeLessThan(5);
    }
  });
});

test("the gradient passes where x passed; ONNX without ONNX Runtime's own operators drops the same", async () => {
  const x = input("x", "float32", [2, 3, 4]);
  const y = dropout(x, { p: 0.5, seed, stream: "" });
  const [dx] = grad(ops.reduceSum(ops.mul(y, 3)), [x]);
  const values = Array.from({ length: 24 }, (_, i) => i + 1);
  const feeds = { x: float32(values, [2, 3, 4]), seed: int64([9], []) };
  const results = await runGraph({ inputs: { x, seed }, outputs: { y, dx: dx ?? x } }, feeds);
  const passed = [...floats(results.y)].map((value) => Number(value !== 0));
  expect(new Set(passed).size).toBe(2);
  expect([...floats(results.y)]).toEqual(values.map((value, i) => value * (passed[i] ?? 0)));
  expect([...floats(results.dx)]).toEqual(passed.map((pass) => 3 * pass));
  const portable = await runGraph({ inputs: { x, seed }, outputs: { y } }, feeds, "portable");
  expectClose(portable.y, results.y, { abs: 0, rel: 0 });
});

class Two extends Module {
  readonly first: Linear = new Linear(8, 4);
  readonly second: ModuleDict<{ deep: Linear }> = new ModuleDict({ deep: new Linear(8, 4) });
}

test("setDropoutSeed: each pair drops by its own path, the base sees all of x; null switches it off", async () => {
  const model = new Two();
  initialize(model, { seed: 1 });
  const pairs = addLora(model, { target_modules: ["first", "deep"], r: 2, lora_alpha: 8, lora_dropout: 0.25 });
  for (const { lora_B } of pairs.values())
    lora_B.weight.source = computedSource("float32", [4, 2], "ones", async () => new Float32Array(8).fill(1));
  const x = input("x", "float32", [3, 8]);
  const outputs: Record<string, Value> = {};
  setDropoutSeed(model, seed);
  for (const [path, pair] of pairs) {
    const update = (seen: Value): Value => ops.mul(pair.lora_B.forward(pair.lora_A.forward(seen)), 4);
    const base = ops.linear(x, pair.weight, pair.bias);
    outputs[`${path} dropped`] = pair.forward(x);
    outputs[`${path} dropped, expected`] = ops.add(base, update(ops.div(dropout(x, { p: 0.25, seed, stream: path }), 0.75)));
    outputs[`${path} whole, expected`] = ops.add(base, update(x));
  }
  setDropoutSeed(model, null);
  for (const [path, pair] of pairs) outputs[`${path} whole`] = pair.forward(x);
  const feeds = {
    x: float32(
      Array.from({ length: 24 }, (_, i) => Math.sin(i)),
      [3, 8],
    ),
    seed: int64([4], []),
  };
  const got = await runGraph({ inputs: { x, seed }, outputs }, feeds);
  for (const path of pairs.keys()) {
    for (const how of ["dropped", "whole"]) expectClose(got[`${path} ${how}`], got[`${path} ${how}, expected`], { abs: 1e-6, rel: 1e-6 });
    expect(floats(got[`${path} dropped`])).not.toEqual(floats(got[`${path} whole`]));
  }
});
