/**
 * One decode step of a TinyLlama-shaped model at context 256 and at context 4000.
 *
 *     npm run bench -- context [--layers 22] [--steps 30] [--threads 2]
 *
 * The same float32 session decodes one token in turn behind 256 and behind 4000 tokens, each context in a resident cache
 * with room for one more, into which the new keys and values are written. The step must not grow with the context:
 * at most 1.3 times as long at 4000.
 */
import { availableParallelism } from "node:os";
import { Runtime, type Session } from "@waggle/runtime";
import { cacheShapes, median, numberOption, randomLlama, stepFeeds } from "./random-llama.ts";

const WARM = 3;
const LIMIT = 1.3;
const contexts = [256, 4000] as const;
const layers = numberOption("layers", 22);
const steps = numberOption("steps", 30);
const threads = numberOption("threads", availableParallelism());

const llama = await randomLlama(layers);
console.log(`${llama.graph.name}: ${(llama.bytes / 1e9).toFixed(2)} GB float32, ${threads} threads; ${steps} steps each, alternating`);
using runtime = new Runtime({ threads });
using session = await runtime.compile(llama.graph);

const step = await Promise.all(contexts.map((context) => decodeStep(session, context)));
const times = contexts.map((): number[] => []);
for (let round = 0; round < WARM + steps; round++) {
  for (const side of round % 2 === 0 ? [0, 1] : [1, 0]) {
    const start = performance.now();
    await step[side]?.();
    if (round >= WARM) times[side]?.push(performance.now() - start);
  }
}
const [short = Number.NaN, long = Number.NaN] = times.map(median);
contexts.forEach((context, side) => {
  console.log(
    `context ${`${context}`.padStart(4)}   median ${median(times[side] ?? []).toFixed(1)} ms   fastest ${Math.min(...(times[side] ?? [])).toFixed(1)} ms`,
  );
});
console.log(`ratio ${(long / short).toFixed(3)} (≤ ${LIMIT})`);
process.exitCode = long / short <= LIMIT ? 0 : 1;

/** A step behind `context` tokens: fed from a resident cache, and written back into it. */
async function decodeStep(session: Session, context: number): Promise<() => Promise<unknown>> {
  const caches = await Promise.all(
    cacheShapes(layers, context + 1).map(async ({ name, axis, shape }) => ({
      name,
      axis,
      resident: await runtime.allocate("float32", shape),
    })),
  );
  const past = Object.fromEntries(caches.map(({ name, resident }) => [`past_key_values.${name}`, resident]));
  const write = caches.map(({ name, axis, resident }) => ({ output: `present.${name}`, into: resident, axis, offset: [context] }));
  return () => session.run({ ...stepFeeds(context), ...past }, { fetch: ["logits"], write });
}
