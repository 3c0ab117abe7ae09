import { InferenceSession, Tensor } from "onnxruntime-node";
import { expect, test } from "vitest";
import { grad, input, lower, ops, serialize, symbol, type Target, Weight } from "./index.ts";

const C = 16;
const B = symbol("B");
const x = input("x", "float32", [B, 5, 4, C]);
const w = input("w", "float32", [C, 1, 3, 3]);

/** Rows of patches through a depthwise convolution, and the gradients of the result's square. */
function graphOf(weight: Weight | typeof w, target: Target) {
  const y = ops.conv(ops.transpose(x, [0, 3, 1, 2]), weight, null, { pads: [1, 1, 1, 1], groups: C });
  const rows = ops.transpose(y, [0, 2, 3, 1]);
  const [dx = x, dw = w] = grad(ops.reduceSum(ops.mul(rows, rows)), [x, weight]);
  return lower({ inputs: weight === w ? { x, w } : { x }, outputs: { rows, dx, dw } }, target);
}

const operators = (weight: Weight | typeof w, target: Target, domain: string): readonly string[] =>
  graphOf(weight, target)
    .nodes.filter((node) => node.domain === domain)
    .map((node) => node.op);

test.runIf(process.arch === "x64")("weights that are fed are met in blocks, without a transpose", () => {
  const blocked = operators(w, "onnxruntime", "com.microsoft.nchwc");
  expect(blocked.filter((op) => op === "Conv")).toHaveLength(3); // y, dx, dw
  const plain = operators(w, "onnxruntime", "");
  expect(plain).not.toContain("Conv");
  expect(plain.filter((op) => op === "Transpose")).toHaveLength(1); // of the small weight, turned around for dx
});

test("constant weights are left to ONNX Runtime, portable graphs to everyone", () => {
  const y = ops.conv(ops.transpose(x, [0, 3, 1, 2]), new Weight([C, 1, 3, 3]), null, { groups: C });
  const forward = lower({ inputs: { x }, outputs: { y } }, "onnxruntime");
  expect(forward.nodes.map(({ op, domain }) => domain + op)).toEqual(["Transpose", "Conv"]);
  expect(operators(w, "portable", "com.microsoft.nchwc")).toEqual([]);
});

test("both ways agree for every number of samples", async () => {
  for (const samples of [1, 2, 5]) {
    const size = samples * 5 * 4 * C;
    const wave = (length: number, step: number): Float32Array => Float32Array.from({ length }, (_, i) => Math.sin(i * step));
    const feeds = {
      x: new Tensor("float32", wave(size, 0.7), [samples, 5, 4, C]),
      w: new Tensor("float32", wave(C * 9, 1.3), [C, 1, 3, 3]),
    };
    const results = await Promise.all(
      (["onnxruntime", "portable"] as const).map(async (target) => {
        const session = await InferenceSession.create(serialize(graphOf(w, target), () => new Uint8Array()));
        return session.run(feeds);
      }),
    );
    for (const name of ["rows", "dx", "dw"]) {
      const [blocked, plain] = results.map((result) => result[name]);
      expect(blocked?.dims, name).toEqual(plain?.dims);
      const expected = plain?.data as Float32Array;
      const scale = Math.max(...expected.map(Math.abs));
      expect(scale).toBeGreaterThan(0.1);
      const worst = Math.max(...expected.map((value, i) => Math.abs(value - Number(blocked?.data[i]))));
      expect(worst / scale, name).toBeLessThan(1e-5);
    }
  }
});
