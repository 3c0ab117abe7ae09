import { expect, test } from "vitest";
import * as text from "./index.ts";

test("exports", () => {
  expect(Object.keys(text).sort()).toMatchInlineSnapshot(`
    [
      "IMAGE_PLACEHOLDER",
      "PromptError",
      "TokenizerError",
      "blip2",
      "chatTemplate",
      "chatml",
      "chatmlDirect",
      "conversationTemplate",
      "countPlaceholders",
      "expandPlaceholders",
      "expandedPromptIds",
      "honeybee",
      "honeybeeDemo",
      "honeybeePromptIds",
      "llama2",
      "llamaTokenizerJson",
      "llavaHf",
      "llavaLlama2",
      "llavaMpt",
      "llavaPlain",
      "llavaV0",
      "llavaV0Tagged",
      "llavaV1",
      "llavaV1Tagged",
      "loadPromptTemplate",
      "loadTokenizer",
      "miniGpt4",
      "miniGpt4Llama2",
      "mistralInstruct",
      "splitPromptIds",
      "tinyLlama",
      "vicunaV0",
      "vicunaV1",
    ]
  `);
});
