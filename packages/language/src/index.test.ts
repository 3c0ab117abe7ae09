import { expect, test } from "vitest";
import * as language from "./index.ts";

test("the export list", () => {
  expect(Object.keys(language).sort()).toMatchInlineSnapshot(`
    [
      "Llama",
      "Opt",
      "causalCache",
      "decoderGraph",
      "exportedDecoder",
      "exportedEmbedding",
      "limits",
      "llama",
      "mistral",
      "opt",
      "qwen2",
      "tinyLlama",
      "vicuna13b",
      "vicuna7b",
    ]
  `);
});
