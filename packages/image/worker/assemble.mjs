// @ts-check
/** Assembles resample.wat into resample.wasm: `node packages/image/worker/assemble.mjs` after editing the former. */
import { readFileSync, writeFileSync } from "node:fs";
import wabt from "wabt";

const { parseWat } = await wabt();
const text = readFileSync(new URL("./resample.wat", import.meta.url), "utf8");
writeFileSync(new URL("./resample.wasm", import.meta.url), parseWat("resample.wat", text, { simd: true }).toBinary({}).buffer);
