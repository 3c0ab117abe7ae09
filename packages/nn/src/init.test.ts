import { expect, test } from "vitest";
import {
  computedSource,
  constantInit,
  type Init,
  initialize,
  Linear,
  Module,
  normal,
  ones,
  Parameter,
  random,
  truncatedNormal,
  uniform,
  xavierUniform,
  zeros,
} from "./index.ts";
import { xoshiro128 } from "./random.ts";

function filled(init: Init, shape: readonly number[], seed = 0): Float32Array {
  const values = new Float32Array(shape.reduce((product, size) => product * size, 1));
  init.fill(values, shape, random(seed, "weight"));
  return values;
}

function moments(values: Float32Array): { mean: number; std: number; min: number; max: number } {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const std = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
  return { mean, std, min: Math.min(...values), max: Math.max(...values) };
}

test("the generator is xoshiro128++: its first numbers from the state 1, 2, 3, 4 are the published ones", () => {
  // xoshiro128plusplus.c, s = {1, 2, 3, 4}
  const state = Uint32Array.of(1, 2, 3, 4);
  expect(Array.from({ length: 4 }, () => xoshiro128(state))).toEqual([641, 1573767, 3222811527, 3517856514]);
});

test("normal, truncated normal, uniform and Xavier have the moments they promise", () => {
  const n = 20_000;
  const gauss = moments(filled(normal(0.5, 2), [n]));
  expect(gauss.mean).toBeCloseTo(2, 1);
  expect(gauss.std).toBeCloseTo(0.5, 1);
  const cut = moments(filled(truncatedNormal(0.5, { mean: 1 }), [n]));
  expect(cut.min).toBeGreaterThanOrEqual(0);
  expect(cut.max).toBeLessThanOrEqual(2);
  expect(cut.std).toBeCloseTo(0.5 * 0.8796, 2); // a normal cut at two standard deviations
  const flat = moments(filled(uniform(-1, 3), [n]));
  expect(flat.min).toBeGreaterThanOrEqual(-1);
  expect(flat.max).toBeLessThan(3);
  expect(flat.std).toBeCloseTo(4 / Math.sqrt(12), 1);
  const bound = Math.sqrt(6 / (100 + 200));
  const xavier = moments(filled(xavierUniform(), [200, 100]));
  expect(xavier.std).toBeCloseTo(bound / Math.sqrt(3), 3);
  expect(xavier.max).toBeLessThanOrEqual(bound);
  const kernel = moments(filled(xavierUniform(2), [8, 4, 3, 3]));
  expect(kernel.max).toBeLessThanOrEqual(2 * Math.sqrt(6 / ((8 + 4) * 9)));
  expect(kernel.max).toBeGreaterThan(1.9 * Math.sqrt(6 / ((8 + 4) * 9)));
  expect([...filled(zeros, [2]), ...filled(ones, [2]), ...filled(constantInit(3), [1])]).toEqual([0, 0, 1, 1, 3]);
});

class Two extends Module {
  readonly a = new Linear(3, 4);
  readonly b = new Parameter([50], { init: normal(1) });
}

class Three extends Module {
  readonly before = new Linear(9, 9);
  readonly b = new Parameter([50], { init: normal(1) });
}

async function values(module: Module, name: string): Promise<Float32Array> {
  const parameter = new Map(module.namedParameters()).get(name);
  const bytes = await parameter?.source?.read();
  return new Float32Array((bytes as Uint8Array<ArrayBuffer>).slice().buffer);
}

test("the same seed gives the same weights, another one others, and no layer depends on another", async () => {
  const [one, two, other, three] = [new Two(), new Two(), new Two(), new Three()];
  for (const [module, seed] of [
    [one, 7],
    [two, 7],
    [other, 8],
    [three, 7],
  ] as const)
    initialize(module, { seed });
  expect(await values(one, "b")).toEqual(await values(two, "b"));
  expect(await values(one, "b")).toEqual(await values(three, "b"));
  expect(await values(one, "b")).not.toEqual(await values(other, "b"));
  expect(await values(one, "a.weight")).not.toEqual(await values(other, "a.weight"));
  expect(await values(one, "a.bias")).toEqual(new Float32Array(4));
  expect(one.b.source?.fingerprint).toBe(two.b.source?.fingerprint);
  expect(one.b.source?.fingerprint).not.toBe(other.b.source?.fingerprint);
});

test("seeds are whole numbers, also large ones", () => {
  expect(() => random(-1, "x")).toThrow(/seed: expected an integer ≥ 0, got -1/);
  expect(() => random(Number.NaN, "x")).toThrow(/seed/);
  expect(random(2 ** 40, "x").uniform()).not.toBe(random(2 ** 41, "x").uniform());
});

test("a computed source must give as many values as it promised", async () => {
  await expect(computedSource("float32", [2, 3], "five", async () => new Float32Array(5)).read()).rejects.toThrow(
    /expected 6 values for \[2,3\], got 5/,
  );
  const source = computedSource("int64", [2], "ids", async () => BigInt64Array.of(1n, -1n));
  expect([...(await source.read())]).toEqual([1, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255]);
  expect(source.fingerprint).not.toBe(computedSource("int64", [1, 2], "ids", async () => BigInt64Array.of(1n, -1n)).fingerprint);
});
