import { expect, test } from "vitest";
import * as index from "./index.ts";

test("the export list", () => {
  expect(Object.keys(index).sort()).toMatchInlineSnapshot(`
    [
      "around",
      "bootstrapInterval",
      "compareProjectors",
      "drawResamples",
      "exactMatches",
      "gapDifference",
      "holm",
      "lab",
      "labReport",
      "pairedDifference",
      "readResults",
      "resultsCsv",
      "scorecard",
      "writeLabReport",
    ]
  `);
});
