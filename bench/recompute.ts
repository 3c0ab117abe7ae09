/**
 * Forward and backward of 12 transformer layers, 256 wide, on 8 × 256 tokens: every activation kept, or each layer's
 * computed a second time for the gradient. Memory is what a run adds to its process, at most.
 *
 *     npm run bench -- recompute [--samples 8] [--rounds 3]
 */
import { execFileSync } from "node:child_process";
import { median, numberOption } from "./random-llama.ts";

const samples = numberOption("samples", 8);
const rounds = numberOption("rounds", 3);
const side = new URL("./recompute-side.ts", import.meta.url).pathname;
const seen: Record<string, { readonly peak: number[]; readonly milliseconds: number[] }> = {
  keep: { peak: [], milliseconds: [] },
  recompute: { peak: [], milliseconds: [] },
};
for (let round = 0; round < rounds; round++) {
  for (const name of round % 2 === 0 ? ["keep", "recompute"] : ["recompute", "keep"]) {
    const args = ["--conditions=@waggle/source", "--import", "tsx", side, name, `${samples}`];
    const { peak, milliseconds } = JSON.parse(execFileSync(process.execPath, args, { encoding: "utf8" })) as Record<string, number>;
    seen[name]?.peak.push(peak ?? Number.NaN);
    seen[name]?.milliseconds.push(milliseconds ?? Number.NaN);
  }
}
for (const [name, { peak, milliseconds }] of Object.entries(seen)) {
  console.log(`${name.padEnd(10)} ${(median(peak) / 1e6).toFixed(0).padStart(5)} MB   ${median(milliseconds).toFixed(0).padStart(6)} ms`);
}
const ratio = median(seen.recompute?.peak ?? []) / median(seen.keep?.peak ?? []);
console.log(`memory ratio ${ratio.toFixed(2)} (≤ 0.60)`);
process.exitCode = ratio <= 0.6 ? 0 : 1;
