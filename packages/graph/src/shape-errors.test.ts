import { expect, test } from "vitest";
import { grad, input, ops, type Value } from "./index.ts";

const f = (...shape: number[]): Value => input("x", "float32", shape);
const i64 = (...shape: number[]): Value => input("i", "int64", shape);
const wrong: readonly (readonly [() => unknown, string])[] = [
  [() => ops.matmul(f(2, 3), f(4, 5)), "MatMul: float32 [2, 3] times float32 [4, 5]: the inner axes 3 and 4 differ."],
  [() => ops.reshape(f(2, 3), [4, 2]), "Reshape: [2, 3] has 6 elements, [4, 2] has 8."],
  [() => ops.reshape(f(2, 3), [4, -1]), "Reshape: [2, 3] does not divide by 4; write the size instead of -1."],
  [() => ops.expand(f(2, 3), [2, 4]), "Expand: shapes [2, 3] and [2, 4] do not broadcast: 3 against 4."],
  [() => ops.unsqueeze(f(2, 3), 4), "unsqueeze: expected a place from -3 to 2 for [2, 3], got 4."],
  [() => ops.squeeze(f(2, 3), 0), "squeeze: axis 0 of [2, 3] is not 1."],
  [() => ops.add(f(2, 3), f(2, 4)), "Add: shapes [2, 3] and [2, 4] do not broadcast: 3 against 4."],
  [() => ops.add(f(2), i64(2)), "Add: expected operands of one type, got float32 and int64. Use ops.cast."],
  [() => ops.add(i64(2), 0.5), "constant: expected int64 values, whole numbers from -9223372036854776000 to 9223372036854776000, got 0.5."],
  [() => ops.sqrt(i64(2)), "Sqrt: expected a float tensor, got int64 [2]."],
  [() => ops.concat([f(2, 3), f(2, 3, 1)], 1), "Concat on axis 1: shapes float32 [2, 3], float32 [2, 3, 1] do not fit."],
  [() => ops.split(f(2, 3), [1, 1], 1), "Split: axis 1 of [2, 3] is not 1 + 1 = 2."],
  [() => ops.softmax(f(2, 3), 2), "softmax: expected an axis of [2, 3] (-2 … 1), got 2."],
  [() => ops.reduceSum(f(2, 3), { axes: [1, -1] }), "ReduceSum: an axis of [1, 1] is named twice."],
  [() => ops.topK(f(2, 3), 4), "TopK: expected 0 to 3 of axis 1 of [2, 3], got k = 4."],
  [() => ops.transpose(f(2, 3), [0, 0]), "Transpose: expected an order of the 2 axes of [2, 3], got [0, 0]."],
  [() => ops.pad(f(2), [[-1, 0]]), "Pad: expected whole numbers ≥ 0, got [[-1,0]]. Use ops.slice to cut."],
  [() => ops.gather(f(2, 3), f(2)), "Gather: expected int64 or int32 indices, got float32."],
  [
    () => ops.gatherElements(f(2, 3), i64(3, 1), 1),
    "GatherElements on axis 1: expected indices of rank 2 within [2, 3] on the other axes, got [3, 1].",
  ],
  [() => ops.scatterElements(f(2, 3), i64(2, 1), f(2, 2), 1), "ScatterElements: expected float32 updates [2, 1], got float32 [2, 2]."],
  [() => ops.conv(f(1, 3, 4, 4), f(2, 2, 3, 3)), "Conv: [1, 3, 4, 4] with weight [2, 2, 3, 3] in 1 group(s): the channels do not fit."],
  [() => ops.conv(f(1, 3, 2, 2), f(2, 3, 3, 3)), "Conv: a window of 3 does not fit 2 with pads 0 and 0."],
  [
    () => ops.maxPool(f(1, 3, 2, 2), { kernel: [2, 2], strides: [0, 1] }),
    "MaxPool: expected kernel, stride and dilation ≥ 1 and pads ≥ 0, got 2, 0, 1, 0, 0.",
  ],
  [() => ops.linear(f(2, 3), f(4, 2)), "Linear: expected x [..., in] and a weight [out, in], got [2, 3] and [4, 2]."],
  [() => ops.linear(f(2, 3), f(4, 3), f(3)), "Linear: expected a bias [4], got [3]."],
  [() => ops.embedding(f(2), f(4, 3)), "Embedding: expected int64 or int32 ids, got float32."],
  [
    () => ops.attention(f(1, 3, 2, 4), f(1, 2, 2, 4), f(1, 2, 2, 4)),
    "Attention: expected q [B, Hq, S, D], k [B, Hkv, T, D], v [B, Hkv, T, D] with Hkv dividing Hq, got [1, 3, 2, 4], [1, 2, 2, 4], [1, 2, 2, 4].",
  ],
  [
    () => ops.attention(f(1, 2, 2, 4), f(1, 2, 3, 4), f(1, 2, 3, 4), { mask: f(2, 2, 2, 3) }),
    "Attention: expected a float32 mask that broadcasts to [1, 2, 2, 3], got float32 [2, 2, 2, 3].",
  ],
  [
    () => ops.rotaryEmbedding(f(2, 1, 3, 4), f(1, 3, 4), f(1, 3, 3)),
    "RotaryEmbedding: expected x [B, H, S, D] with cos and sin [B or 1, S, D/2], got [2, 1, 3, 4] with float32 [1, 3, 3].",
  ],
  [
    () => ops.rmsNorm(f(2, 3), f(4), { epsilon: 1e-5 }),
    "RmsNorm: expected float32 scale and bias as long as the last axis of [2, 3], got float32 [4].",
  ],
  [() => grad(f(2), []), "grad: expected a loss that is one float number, got float32 [2]. Use ops.reduceSum or reduceMean."],
];
test.each(wrong.map(([write, message]) => ({ write, message })))("told when the graph is written: $message", ({ write, message }) =>
  expect(write).toThrow(expect.objectContaining({ name: "ShapeError", code: "shape", message })),
);

test("a ShapeError carries the operator and its operands", () => {
  const told = { code: "shape", op: "MatMul", operands: ["float32 [2, 3]", "float32 [4, 5]"] };
  expect(() => ops.matmul(f(2, 3), f(4, 5))).toThrow(expect.objectContaining(told));
});
