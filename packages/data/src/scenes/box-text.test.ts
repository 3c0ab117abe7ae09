import { expect, test } from "vitest";
import { boxOverlap, boxText, parseBox } from "./box-text.ts";

test("three decimals as Python's format gives them", () => {
  // python3 -c 'print(",".join(f"{x:.3f}" for x in (0.0625, 0.1875, 0.4375, 0.5625)))' and so on
  expect(boxText([0.0625, 0.1875, 0.4375, 0.5625])).toBe("[0.062,0.188,0.438,0.562]");
  expect(boxText([0.8125, 0.9375, 0.3125, 0.6875])).toBe("[0.812,0.938,0.312,0.688]");
  expect(boxText([0, 1, 0.0005, 0.9995])).toBe("[0.000,1.000,0.001,1.000]");
  expect(boxText([0.1, 1 / 3, 0.25, 0.7774999])).toBe("[0.100,0.333,0.250,0.777]");
});

test("is read back, out of a sentence too", () => {
  expect(parseBox("[0.062,0.188,0.438,0.562]")).toEqual([0.062, 0.188, 0.438, 0.562]);
  expect(parseBox("It is at [0.1, 0.2, .5, 1].")).toEqual([0.1, 0.2, 0.5, 1]);
  for (const text of ["top left", "[0.1,0.2,0.3]", "[0.1,0.2,0.3,0.4.5]", ""]) expect(parseBox(text)).toBeNull();
});

test("overlap is what is shared by what is covered", () => {
  expect(boxOverlap([0, 0, 0.5, 0.5], [0, 0, 0.5, 0.5])).toBe(1);
  expect(boxOverlap([0, 0, 0.5, 0.5], [0.25, 0, 0.75, 0.5])).toBeCloseTo(1 / 3, 12);
  expect(boxOverlap([0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1])).toBe(0);
  expect(boxOverlap([0.5, 0.5, 0, 0], [0.5, 0.5, 0, 0])).toBe(0);
});
