/**
 * One float32 decode step through Runtime, against onnxruntime-node running the same graph by hand.
 *
 *     npm run bench -- decode-step [--layers 22] [--steps 20] [--threads 2]
 *
 * By hand: a session with ONNX Runtime's own settings in this thread, fed with tensors; nothing is written into a cache.
 * Ours: a session in the worker, fed with resident caches, the new keys and values written into them there.
 */
import { availableParallelism } from "node:os";
import { setTimeout } from "node:timers/promises";
import { Runtime, type Session } from "@waggle/runtime";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { cacheShapes, folder, folderOption, median, numberOption, type RandomLlama, randomLlama, stepFeeds } from "./random-llama.ts";

/** Between steps: the threads of the session by hand go on spinning after its run, and would slow the other side's. */
const REST = 50;
const WARM = 3;
const layers = numberOption("layers", 22);
const steps = numberOption("steps", 20);
const threads = numberOption("threads", availableParallelism());

const llama = await randomLlama(layers);
console.log(
  `${llama.graph.name}: ${(llama.bytes / 1e9).toFixed(2)} GB float32, ${threads} threads; medians of ${steps} steps, alternating`,
);
const byHand = await InferenceSession.create(llama.model, {
  intraOpNumThreads: threads,
  extra: { session: { [folderOption]: folder } },
});
using runtime = new Runtime({ threads });
using session = await runtime.compile(llama.graph);

const contexts = [256, 4000];
const sides = await Promise.all(
  contexts.flatMap((context) => [handStep(byHand, llama, context), ourStep(runtime, session, llama, context)]),
);
const times = sides.map((): number[] => []);
for (let step = 0; step < steps + WARM; step++) {
  for (let i = 0; i < sides.length; i++) {
    const side = step % 2 === 0 ? i : sides.length - 1 - i;
    await setTimeout(REST);
    const start = performance.now();
    await sides[side]?.();
    if (step >= WARM) times[side]?.push(performance.now() - start);
  }
}
const medians = times.map(median);
contexts.forEach((context, i) => {
  const [hand = 0, ours = 0] = medians.slice(2 * i);
  const ratio = `ratio ${(ours / hand).toFixed(3)} (≤ 1.1)`;
  console.log(`context ${`${context}`.padStart(4)}   ours ${ours.toFixed(1)} ms   by hand ${hand.toFixed(1)} ms   ${ratio}`);
});
console.log(`ours at 4000 against 256: ${((medians[3] ?? 0) / (medians[1] ?? 1)).toFixed(3)} (≤ 1.3)`);
await byHand.release();

async function handStep(session: InferenceSession, { layers }: RandomLlama, context: number): Promise<() => Promise<unknown>> {
  const past = cacheShapes(layers, context + 1).map(({ name, shape }) => {
    const length = shape.reduce((product, dim) => product * dim, 1);
    return [`past_key_values.${name}`, new Tensor("float32", new Float32Array(length).fill(0.1), shape)] as const;
  });
  const feeds = { ...stepFeeds(context), ...Object.fromEntries(past) };
  return () => session.run(feeds);
}

async function ourStep(runtime: Runtime, session: Session, { layers }: RandomLlama, context: number): Promise<() => Promise<unknown>> {
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
