import { expect, test } from "vitest";
import * as exported from "./index.ts";

test("exports", () => {
  expect(Object.keys(exported).sort()).toMatchInlineSnapshot(`
    [
      "ImageError",
      "anyresLayout",
      "anyresProcessor",
      "clipProcessor",
      "decodeImage",
      "drawMaps",
      "exactProcessor",
      "image",
      "imageProcessor",
      "padProcessor",
      "picture",
    ]
  `);
});
