import { expect, test } from "vitest";
import * as projectors from "./index.ts";

test("the export list", () => {
  expect(Object.keys(projectors).sort()).toMatchInlineSnapshot(`
    [
      "CAbstractor",
      "DAbstractor",
      "GroupedLinear",
      "HoneybeeMlp",
      "IdentityProjector",
      "MlpProjector",
      "PixelShuffleProjector",
      "QFormer",
      "Resampler",
      "blip2QFormerKey",
      "cAbstractor",
      "checkProjector",
      "dAbstractor",
      "groupedLinear",
      "honeybeeMlp",
      "identity",
      "linear",
      "mlp",
      "originalMlpKey",
      "pixelShuffleProjector",
      "qFormer",
      "resampler",
    ]
  `);
});
