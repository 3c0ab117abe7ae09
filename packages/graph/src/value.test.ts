import { expect, test } from "vitest";
import { constant, dimAdd, dimMul, dimSub, input, lower, ops, ShapeError, shapeOf, symbol } from "./index.ts";

const [B, S, P] = [symbol("B"), symbol("S"), symbol("P")];

test("open sizes are polynomials in canonical form", () => {
  expect(String(dimAdd(dimMul(S, 2), dimSub(B, S)))).toBe("B + S");
  expect(String(dimAdd(dimMul(S, dimAdd(B, 2)), 3))).toBe("B*S + 2*S + 3");
  expect(dimSub(dimAdd(S, 3), S)).toBe(3);
  expect(() => symbol("a b")).toThrow(ShapeError);
});

test("what -1 stands for is divided exactly, also by open sizes", () => {
  const open = (...dims: Parameters<typeof input>[2]): ReturnType<typeof input> => input("a", "float32", dims);
  const last = (value: ReturnType<typeof input>): string => String(value.shape.at(-1));
  expect(last(ops.reshape(open(B, S, 4), [2, -1]))).toBe("2*B*S");
  expect(last(ops.reshape(open(B, S, 4), [B, -1]))).toBe("4*S");
  expect(last(ops.reshape(open(dimAdd(S, P), B, 6), [B, 3, -1]))).toBe("2*P + 2*S");
  expect(last(ops.reshape(open(dimAdd(S, P), B, 6), [dimAdd(P, S), -1]))).toBe("6*B");
  expect(last(ops.reshape(open(dimMul(dimAdd(S, P), dimSub(S, P)), 2), [dimAdd(S, P), -1]))).toBe("-2*P + 2*S");
  expect(() => ops.reshape(open(B, S, 4), [P, -1])).toThrow("Reshape: [B, S, 4] does not divide by P");
  expect(() => ops.reshape(open(B, S, 4), [-1, 8])).toThrow(ShapeError);
  expect(() => ops.reshape(open(0, 4), [0, -1])).toThrow(ShapeError);
});

test("shapeOf checks the rank and names the axes", () => {
  expect(shapeOf(input("a", "float32", [B, S, 4]), "B S? D")).toEqual([B, S, 4]);
  expect(() => shapeOf(input("a", "float32", [B, S, 4]), "B N D")).toThrowErrorMatchingInlineSnapshot(
    `[ShapeError: shapeOf: axis N of [B, N, D] must be known when the graph is written, got the open S in [B, S, 4]. Write "N?" if an open size is welcome.]`,
  );
  expect(() => shapeOf(input("a", "float32", [B, 4]), "B N D")).toThrowErrorMatchingInlineSnapshot(
    `[ShapeError: shapeOf: expected 3 axes [B, N, D], got [B, 4].]`,
  );
});

test("constants take the type of their data, and are checked against the type that is asked for", () => {
  expect(constant(2)).toMatchObject({ dtype: "float32", shape: [], data: Float32Array.of(2) });
  expect(constant([1n, 2n])).toMatchObject({ dtype: "int64", shape: [2], data: BigInt64Array.of(1n, 2n) });
  expect(constant([true, false])).toMatchObject({ dtype: "bool", data: Uint8Array.of(1, 0) });
  expect(constant(Int8Array.of(-3), { shape: [1, 1] })).toMatchObject({ dtype: "int8", shape: [1, 1] });
  expect(constant(Float64Array.of(0.1), { dtype: "float32" }).data).toEqual(Float32Array.of(0.1));
  expect(() => constant([1, 2, 3], { shape: [2, 2] })).toThrow("constant: expected 2×2 values for shape [2, 2], got 3.");
  expect(() => constant(300, { dtype: "uint8" })).toThrow("constant: expected uint8 values, whole numbers from 0 to 255, got 300.");
  expect(() => constant(Number.NaN, { dtype: "int32" })).toThrow(ShapeError);
});

test.each([
  // Bits as NumPy and PyTorch round them: exact, ties to even, overflow, below the smallest normal, below the smallest.
  [1, 0x3c00, 0x3f80],
  [-2.5, 0xc100, 0xc020],
  [0.1, 0x2e66, 0x3dcd],
  [1.00048828125, 0x3c00, 0x3f80],
  [1.00146484375, 0x3c02, 0x3f80],
  [65504, 0x7bff, 0x4780],
  [65520, 0x7c00, 0x4780],
  [6.1e-5, 0x03ff, 0x3880],
  [3e-8, 0x0001, 0x3301],
  [2e-8, 0x0000, 0x32ac],
  [-0, 0x8000, 0x8000],
  [Number.POSITIVE_INFINITY, 0x7c00, 0x7f80],
])("%d is rounded to half precision as the reference rounds it", (value, float16, bfloat16) => {
  expect(constant(value, { dtype: "float16" }).data[0]).toBe(float16);
  expect(constant(value, { dtype: "bfloat16" }).data[0]).toBe(bfloat16);
});

test("a number beside a float16 operand becomes a float16, not its bits", () => {
  const x = input("x", "float16", [2]);
  const { constants } = lower({ inputs: { x }, outputs: { y: ops.mul(x, 2) } }, "portable");
  expect(constants.map(({ value }) => value.data)).toEqual([Uint16Array.of(0x4000)]);
});
