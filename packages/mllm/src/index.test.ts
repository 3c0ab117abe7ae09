import { expect, test } from "vitest";
import * as api from "./index.ts";

test("the exported names", () => {
  expect(Object.keys(api).sort()).toMatchInlineSnapshot(`
    [
      "ChatStream",
      "Composition",
      "MultimodalModel",
      "compose",
      "honeybeePrompt",
      "honeybeePrompt2023",
      "image",
      "inspect",
      "load",
    ]
  `);
});
