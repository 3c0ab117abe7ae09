import { expect, test } from "vitest";
import * as nn from "./index.ts";

test("the export list", () => {
  expect(Object.keys(nn).sort()).toMatchInlineSnapshot(`
    [
      "ConfigError",
      "Conv2d",
      "Embedding",
      "LayerNorm",
      "Linear",
      "Module",
      "ModuleDict",
      "ModuleList",
      "Parameter",
      "RMSNorm",
      "Sequential",
      "StateDictError",
      "activation",
      "activationNames",
      "checkOptions",
      "computedSource",
      "constantInit",
      "initialize",
      "loadStateDict",
      "normal",
      "ones",
      "parseConfig",
      "random",
      "replaceModules",
      "truncatedNormal",
      "uniform",
      "xavierUniform",
      "zeros",
    ]
  `);
});
