// @ts-check
/** Assembles adamw.wat into adamw.wasm: `node packages/train/worker/assemble.mjs` after editing the former. */
import { readFileSync, writeFileSync } from "node:fs";
import wabt from "wabt";

const { parseWat } = await wabt();
const text = readFileSync(new URL("./adamw.wat", import.meta.url), "utf8");
writeFileSync(new URL("./adamw.wasm", import.meta.url), parseWat("adamw.wat", text, { simd: true }).toBinary({}).buffer);
