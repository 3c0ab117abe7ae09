import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import wabt from "wabt";

test("resample.wasm is resample.wat, assembled (node worker/assemble.mjs)", async () => {
  const { parseWat } = await wabt();
  const folder = new URL("../worker/", import.meta.url);
  const { buffer } = parseWat("resample.wat", readFileSync(new URL("resample.wat", folder), "utf8"), { simd: true }).toBinary({});
  expect(Buffer.compare(readFileSync(new URL("resample.wasm", folder)), buffer)).toBe(0);
});
