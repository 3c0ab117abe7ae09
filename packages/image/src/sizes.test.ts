import { expect, test } from "vitest";
import { centreCrop, resizedSize } from "./sizes.ts";

// models.md 7.7: picture, size, resized, crop offset
test.for([
  [640, 480, 224, 298, 224, 37, 0],
  [640, 480, 336, 448, 336, 56, 0],
  [500, 375, 224, 298, 224, 37, 0],
  [500, 375, 336, 448, 336, 56, 0],
  [375, 500, 224, 224, 298, 0, 37],
  [375, 500, 336, 336, 448, 0, 56],
  [1000, 667, 224, 335, 224, 55, 0],
  [1000, 667, 336, 503, 336, 83, 0],
] as const)("%i×%i, shortest edge %i", ([width, height, size, resizedWidth, resizedHeight, left, top]) => {
  const resized = resizedSize({ shortest_edge: size }, { width, height });
  expect(resized).toEqual({ width: resizedWidth, height: resizedHeight });
  expect(centreCrop({ width: size, height: size }, resized)).toEqual({ width: size, height: size, left, top });
});

test("a picture smaller than the crop lies in it one pixel past the middle, if the rest is odd", () => {
  expect(centreCrop({ width: 56, height: 56 }, { width: 35, height: 36 })).toEqual({ width: 56, height: 56, left: -11, top: -10 });
});
