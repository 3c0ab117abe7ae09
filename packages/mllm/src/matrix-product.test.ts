import { expect, test } from "vitest";
import { matrixProduct } from "./matrix-product.ts";

test("the product of two matrices", async () => {
  // [2, 3] · [3, 2], whose sums are small whole numbers
  const product = await matrixProduct(Float32Array.of(1, 2, 3, 4, 5, 6), Float32Array.of(1, 0, 0, 1, 2, -1), 3);
  expect(product).toEqual(Float32Array.of(7, -1, 16, -1));
});
