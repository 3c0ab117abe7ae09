/**
 * How long `npm run lab` will take: a few steps of every projector at every M, and what they come to.
 *
 *     node --conditions=@waggle/source --import tsx recipes/lab-speed.ts [--steps 6]
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type LabSpec, lab } from "@waggle/eval";
import { type Stage, stepsOf } from "@waggle/train";
import comparison from "./lab.ts";

const { values } = parseArgs({ options: { steps: { type: "string", default: "6" } } });
const spec: LabSpec = comparison;
const out = await mkdtemp(join(tmpdir(), "lab-"));
const few = spec.stages.map((each) => ({ ...each, steps: Number(values.steps) }));
let [total, last] = [0, performance.now()];
await lab({
  ...{ ...spec, seeds: 1, stages: few, out },
  onEvent({ type, ...event }) {
    if (type !== "result" || !("result" in event)) return;
    const { projector, tokens, parameters, stages } = event.result;
    const left = stages.map(({ secondsPerStep, steps }, i) => secondsPerStep * (stepsOf(spec.stages[i] as Stage) - steps));
    const seconds = left.reduce((sum, each) => sum + each, (performance.now() - last) / 1000); // start, features and questions are in the rest
    const each = stages.map(({ secondsPerStep }) => secondsPerStep.toFixed(3)).join(" and ");
    console.log(`${projector}, ${tokens} tokens: ${parameters} parameters, ${each} s per step, ${seconds.toFixed(0)} s a trial`);
    total += seconds * spec.seeds;
    last = performance.now();
  },
});
console.log(`${(total / 60).toFixed(0)} minutes in all`);
await rm(out, { recursive: true });
