import { expect, test } from "vitest";
import * as api from "./index.ts";

test("the exported names", () => {
  expect(Object.keys(api).sort()).toMatchInlineSnapshot(`
    [
      "AdapterError",
      "ChatStream",
      "CheckpointError",
      "Composition",
      "ConfigError",
      "GenerationError",
      "HubError",
      "ImageError",
      "MultimodalModel",
      "PromptError",
      "RuntimeError",
      "StateDictError",
      "TokenizerError",
      "compose",
      "exportOnnx",
      "honeybeePrompt",
      "honeybeePrompt2023",
      "image",
      "inspect",
      "load",
    ]
  `);
});
