import * as checkpoint from "@waggle/checkpoint";
import { expect, test } from "vitest";

test("exports", () => {
  expect(Object.keys(checkpoint).sort()).toMatchInlineSnapshot(`
    [
      "CheckpointError",
      "HubError",
      "WeightCache",
      "castTensor",
      "isLocked",
      "makeFolder",
      "openCheckpoint",
      "openSafetensors",
      "openTorch",
      "readFloat32",
      "readJson",
      "resolveModel",
      "withLock",
      "writeCheckpoint",
      "writeFolder",
      "writeSafetensors",
    ]
  `);
});
