/**
 * What ONNX Runtime's settings cost and give: pre-packing, the memory arena, spinning threads.
 *
 *     npm run bench -- settings [--layers 4] [--steps 15] [--threads 2]
 *
 * One session by hand for each setting, all of the same random model, run in turns with 1 … 64 tokens in a batch row
 * and once with a prompt of 600. Why @waggle/runtime is set as it is.
 */
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { setTimeout } from "node:timers/promises";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { cacheShapes, folder, folderOption, hidden_size, median, numberOption, randomLlama } from "./random-llama.ts";

const layers = numberOption("layers", 4);
const steps = numberOption("steps", 15);
const intraOpNumThreads = numberOption("threads", availableParallelism());
const REST = 30;

const brief = { "intra_op.spin_duration_us": "20", force_spinning_stop: "1" };
const noArena = { enableCpuMemArena: false, enableMemPattern: false };
const settings: Readonly<Record<string, { readonly session: Record<string, string>; readonly options?: object }>> = {
  "ONNX Runtime's own": { session: {} },
  "spinning for 20 µs only": { session: brief },
  "no spinning": { session: { "intra_op.allow_spinning": "0" } },
  "… and no pre-packing": { session: { ...brief, disable_prepacking: "1" } },
  "… and no arena (ours)": { session: { ...brief, disable_prepacking: "1" }, options: noArena },
};

const llama = await randomLlama(layers);
const sessions: InferenceSession[] = [];
console.log(`${llama.graph.name}: ${(llama.bytes / 1e9).toFixed(2)} GB float32, ${intraOpNumThreads} threads`);
for (const [name, { session, options }] of Object.entries(settings)) {
  const [memory, start] = [anonymousMB(), performance.now()];
  const extra = { session: { ...session, [folderOption]: folder } };
  sessions.push(await InferenceSession.create(llama.model, { intraOpNumThreads, ...options, extra }));
  const loadMs = performance.now() - start;
  console.log(
    `${name.padEnd(28)} load ${loadMs.toFixed(0).padStart(5)} ms   anonymous memory ${(anonymousMB() - memory).toFixed(0).padStart(5)} MB`,
  );
}
console.log(
  `\nmilliseconds, medians of ${steps}${"".padEnd(8)}${[1, 2, 4, 8, 16, 64, 600].map((tokens) => `${tokens}`.padStart(8)).join("")} tokens`,
);
const table: number[][] = sessions.map(() => []);
for (const tokens of [1, 2, 4, 8, 16, 64, 600]) {
  const feeds = feedsFor(tokens);
  const times = sessions.map((): number[] => []);
  for (let step = 0; step < (tokens === 600 ? 3 : steps); step++) {
    for (let i = 0; i < sessions.length; i++) {
      const side = (i + step) % sessions.length;
      await setTimeout(REST); // until the threads of the one before have stopped spinning
      const start = performance.now();
      await sessions[side]?.run(feeds);
      times[side]?.push(performance.now() - start);
    }
  }
  for (const [side, all] of times.entries()) table[side]?.push(median(all));
}
Object.keys(settings).forEach((name, side) => {
  console.log(`${name.padEnd(28)} ${table[side]?.map((ms) => ms.toFixed(1).padStart(8)).join("")}`);
});

/** One sequence with 256 tokens behind it. */
function feedsFor(tokens: number): Record<string, Tensor> {
  const row = (value: (i: number) => number): Tensor =>
    new Tensor(
      "int64",
      BigInt64Array.from({ length: tokens }, (_, i) => BigInt(value(i))),
      [1, tokens],
    );
  const past = cacheShapes(layers, 256).map(({ name, shape }) => {
    const length = shape.reduce((product, dim) => product * dim, 1);
    return [`past_key_values.${name}`, new Tensor("float32", new Float32Array(length), shape)] as const;
  });
  return {
    input_ids: row((i) => i),
    features: new Tensor("float32", new Float32Array(hidden_size), [1, hidden_size]),
    feature_rows: row(() => -1),
    position_ids: row((i) => 256 + i),
    past_lengths: new Tensor("int64", [256n], [1]),
    ...Object.fromEntries(past),
  };
}

/** Memory that is no file's; Linux only. */
function anonymousMB(): number {
  if (process.platform !== "linux") return Number.NaN;
  return Number(/RssAnon:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1]) / 1024;
}
