import { expect, test } from "vitest";
import * as nn from "./index.ts";

test("the export list", () => {
  expect(Object.keys(nn).sort()).toMatchInlineSnapshot(`
    [
      "AdapterError",
      "ConfigError",
      "Conv2d",
      "Embedding",
      "LayerNorm",
      "Linear",
      "LoraLinear",
      "Module",
      "ModuleDict",
      "ModuleList",
      "Parameter",
      "RMSNorm",
      "Sequential",
      "StateDictError",
      "activation",
      "activationNames",
      "addLora",
      "checkOptions",
      "computedSource",
      "constantInit",
      "initialize",
      "kaimingUniform",
      "loadAdapter",
      "loadStateDict",
      "mergeAdapter",
      "mergeLora",
      "normal",
      "ones",
      "openAdapter",
      "parseConfig",
      "random",
      "replaceModules",
      "saveAdapter",
      "setDropoutSeed",
      "setRecompute",
      "truncatedNormal",
      "uniform",
      "xavierUniform",
      "zeros",
    ]
  `);
});
