import { expect, test } from "vitest";
import * as vision from "./index.ts";

test("the export list", () => {
  expect(Object.keys(vision).sort()).toMatchInlineSnapshot(`
    [
      "ClipVisionEncoder",
      "EvaVisionEncoder",
      "blip2VisionKey",
      "clip",
      "eva",
      "limits",
      "splitQkvBias",
      "vitB16",
      "vitB32",
      "vitL14",
      "vitL14_336",
    ]
  `);
});
