import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import wabt from "wabt";
import { adamW } from "../worker/optimizer.mjs";

test("adamw.wasm is adamw.wat, assembled (node worker/assemble.mjs)", async () => {
  const { parseWat } = await wabt();
  const folder = new URL("../worker/", import.meta.url);
  const { buffer } = parseWat("adamw.wat", readFileSync(new URL("adamw.wat", folder), "utf8"), { simd: true }).toBinary({});
  expect(Buffer.compare(readFileSync(new URL("adamw.wasm", folder)), buffer)).toBe(0);
});

/** Lengths around those of a vector and of a piece. */
test.each([1, 3, 4, 5, 16383, 16384, 16385, 40001])("%i numbers: what the formula says, and nothing beyond the end", (length) => {
  const random = (seed: number): Float32Array => Float32Array.from({ length: length + 2 }, (_, i) => Math.sin(seed * 1000 + i * 12.9898));
  const all = { p: random(1), g: random(2), m: random(3), v: random(4).map((value) => value * value) };
  const part = (values: Float32Array) => [{ data: values.subarray(1, length + 1) }];
  const before = Object.fromEntries(Object.entries(all).map(([name, values]) => [name, values.slice()])) as typeof all;
  const options = { step: 3, betas: [0.9, 0.99] as const, eps: 1e-6, factor: 0.5, groups: [{ lr: 0.1, weight_decay: 0.2 }] };
  adamW({ parameters: part(all.p), gradients: part(all.g), exp_avg: part(all.m), exp_avg_sq: part(all.v) }, options);
  for (const name of ["p", "g", "m", "v"] as const) for (const i of [0, length + 1]) expect(all[name][i]).toBe(before[name][i]);
  let worst = 0;
  for (let i = 1; i <= length; i++) {
    const [p = 0, g = 0, m = 0, v = 0] = [before.p[i], (before.g[i] ?? 0) * 0.5, before.m[i], before.v[i]];
    const [mean, square] = [m + 0.1 * (g - m), 0.99 * v + 0.01 * g * g];
    const wanted = p * (1 - 0.1 * 0.2) - ((0.1 / (1 - 0.9 ** 3)) * mean) / (Math.sqrt(square / (1 - 0.99 ** 3)) + 1e-6);
    worst = Math.max(worst, Math.abs((all.p[i] ?? 0) - wanted) / (1 + Math.abs(wanted)));
  }
  expect(worst).toBeLessThan(2e-5); // √v may be small: the quotient's own conditioning, in float32
  expect(all.g).toEqual(before.g);
});
