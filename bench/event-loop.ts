/**
 * How long the event loop waits while a model decodes in the worker.
 *
 *     npm run bench -- event-loop [--layers 22] [--seconds 30] [--threads 2]
 *
 * A timer asks every 2 ms to be called; what it comes later than that is the delay. The main thread does what a chat
 * does: it takes the logits, chooses a token and asks for the next step. First the same while nothing is done, which
 * shows what the rest of the machine adds.
 */
import { availableParallelism } from "node:os";
import { setTimeout } from "node:timers/promises";
import { Runtime } from "@waggle/runtime";
import { cacheShapes, numberOption, randomLlama, stepFeeds } from "./random-llama.ts";

const EVERY = 2;
const layers = numberOption("layers", 22);
const seconds = numberOption("seconds", 30);
const threads = numberOption("threads", availableParallelism());
const context = 512;

const llama = await randomLlama(layers);
using runtime = new Runtime({ threads });
using session = await runtime.compile(llama.graph);
const caches = await Promise.all(
  cacheShapes(layers, context).map(async ({ name, axis, shape }) => ({ name, axis, resident: await runtime.allocate("float32", shape) })),
);
const past = Object.fromEntries(caches.map(({ name, resident }) => [`past_key_values.${name}`, resident]));

async function step(position: number): Promise<number> {
  const write = caches.map(({ name, axis, resident }) => ({ output: `present.${name}`, into: resident, axis, offset: [position] }));
  const { logits } = await session.run({ ...stepFeeds(position), ...past }, { fetch: ["logits"], write });
  const values = logits?.data as Float32Array;
  return values.reduce((best, value, token) => (value > (values[best] ?? 0) ? token : best), 0);
}

for (let i = 0; i < 3; i++) await step(i);
console.log(`${llama.graph.name}, ${threads} threads; event-loop delay`);
await watch(
  "idle, 5 s",
  (elapsed) => elapsed < 5000,
  () => setTimeout(100),
);
let steps = 0;
const elapsed = await watch(
  `decoding, ${seconds} s`,
  (elapsed) => elapsed < seconds * 1000,
  () => step(steps++ % context),
);
console.log(`${steps} steps of ${(elapsed / steps).toFixed(1)} ms; decoding: p99 ≤ 20 ms, maximum ≤ 50 ms`);

/** Prints the delays of a timer while `work` is done over and over; returns how long that was. */
async function watch(what: string, goesOn: (elapsed: number) => boolean, work: () => Promise<unknown>): Promise<number> {
  const delays: number[] = [];
  let last = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    delays.push(Math.max(0, now - last - EVERY));
    last = now;
  }, EVERY);
  const start = performance.now();
  while (goesOn(performance.now() - start)) await work();
  clearInterval(timer);
  delays.sort((a, b) => a - b);
  const quantile = (q: number): string =>
    `${delays[Math.min(delays.length - 1, Math.floor(delays.length * q))]?.toFixed(1).padStart(6)} ms`;
  console.log(`${what.padEnd(16)} median ${quantile(0.5)}   p99 ${quantile(0.99)}   maximum ${quantile(1)}   of ${delays.length} timers`);
  return performance.now() - start;
}
