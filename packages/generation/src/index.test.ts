import { expect, test } from "vitest";
import * as api from "./index.ts";

test("the exported names", () => {
  expect(Object.keys(api).sort()).toMatchInlineSnapshot(`
    [
      "ContextLengthError",
      "Engine",
      "GenerationError",
      "GenerationStream",
      "OptionsError",
      "RandomNumbers",
      "StopStrings",
      "greedySampler",
      "logitsProcessors",
      "optionNames",
      "randomSampler",
      "readGenerationConfig",
      "resolveOptions",
    ]
  `);
});
