// Our side of bench/training.ts, in a process of its own: case, folder and threads on the command line. A line "step" on
// standard input makes one, "peak" tells the memory; each is answered by a line of JSON.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { writeSafetensors } from "@waggle/checkpoint";
import { initialize } from "@waggle/nn";
import { Runtime } from "@waggle/runtime";
import { adamW, Trainer } from "@waggle/train";
import { type CaseName, trainingCase } from "./training-cases.ts";

const [name = "", folder = "", threads = ""] = process.argv.slice(2);
const { title, module, objective, batch } = trainingCase(name as CaseName);
initialize(module, { seed: 0 });
const trainable = new Map(module.namedParameters());

// What PyTorch starts from.
await writeSafetensors(join(folder, "start.safetensors"), [
  ...Array.from(trainable, ([path, { shape, dtype, source }]) => ({
    name: `parameter.${path}`,
    dtype,
    shape,
    read: async () => (await source?.read()) ?? new Uint8Array(),
  })),
  ...Object.entries(batch.feeds).map(([path, { dims, type, data }]) => ({
    name: `input.${path}`,
    dtype: type as "float32" | "int64",
    shape: dims,
    read: async () => new Uint8Array((data as Float32Array).buffer),
  })),
]);

using runtime = new Runtime({ threads: Number(threads) });
using trainer = await Trainer.create({ runtime, module, trainable, objective, optimizer: adamW({ lr: 1e-3 }) });
const before = memory("VmRSS");
answer({ title });
for await (const line of createInterface({ input: process.stdin })) {
  if (line === "peak") {
    answer({ peak: memory("VmHWM"), before });
    continue;
  }
  const start = performance.now();
  const used = process.cpuUsage();
  const { loss, gradNorm } = await trainer.step([batch]);
  const milliseconds = performance.now() - start;
  const { user, system } = process.cpuUsage(used);
  answer({ milliseconds, processor: (user + system) / 1000, loss, gradNorm });
}

function answer(value: object): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

/** Of this process, as Linux counts it. */
function memory(field: "VmRSS" | "VmHWM"): number {
  const found = new RegExp(`${field}:\\s+(\\d+) kB`).exec(readFileSync("/proc/self/status", "utf8"));
  return Number(found?.[1]) * 1024;
}
