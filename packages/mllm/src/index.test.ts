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
      "MultimodalModules",
      "PromptEncoder",
      "PromptError",
      "RuntimeError",
      "StateDictError",
      "TokenizerError",
      "assemble",
      "compose",
      "convert",
      "exportOnnx",
      "fresh",
      "freshText",
      "honeybeePrompt",
      "honeybeePrompt2023",
      "image",
      "inspect",
      "load",
      "saveModel",
      "start",
      "weightPlacer",
    ]
  `);
});
