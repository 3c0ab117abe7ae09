import { expect, test } from "vitest";
import * as exported from "./index.ts";

test("exports", () => {
  expect(Object.keys(exported).sort()).toMatchInlineSnapshot(`
    [
      "COLORS",
      "DataError",
      "HELD_OUT_PAIRS",
      "IGNORE",
      "IMAGE",
      "SHAPES",
      "SIGN_WORDS",
      "batches",
      "batchesPerEpoch",
      "boxOverlap",
      "boxText",
      "chatEncoder",
      "checkEncoded",
      "drawScene",
      "honeybeeEncoder",
      "isBroken",
      "llavaEncoder",
      "miniGpt4Encoder",
      "miniGpt4Instructions",
      "mixture",
      "openCaptions",
      "openConversations",
      "parseBox",
      "sceneViewer",
      "scenes",
      "textOnlyBaseline",
    ]
  `);
});
