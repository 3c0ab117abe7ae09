import { expect, test } from "vitest";
import * as graph from "./index.ts";

test("exports", () =>
  expect(Object.keys(graph).sort()).toMatchInlineSnapshot(`
    [
      "GraphError",
      "LOWEST",
      "OPSET",
      "ShapeError",
      "Value",
      "Weight",
      "constant",
      "dataTypes",
      "describeOps",
      "dimAdd",
      "dimEquals",
      "dimMul",
      "dimSub",
      "formatShape",
      "grad",
      "input",
      "lower",
      "ops",
      "recompute",
      "serialize",
      "shapeOf",
      "symbol",
      "writeOnnx",
    ]
  `));
