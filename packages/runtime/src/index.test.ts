import { expect, test } from "vitest";
import * as runtime from "./index.ts";

test("exports", () => {
  expect(Object.keys(runtime).sort()).toMatchInlineSnapshot(`
    [
      "Runtime",
      "RuntimeError",
      "placeWeights",
    ]
  `);
});
