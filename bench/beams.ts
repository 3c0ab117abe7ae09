/**
 * What beams cost beside as many sequences of their own, on a TinyLlama-shaped model.
 *
 *     npm run bench -- beams [--layers 22] [--beams 4] [--context 600] [--tokens 24] [--rounds 5] [--threads 2]
 *
 * The same engine answers a prompt once, as many times at once, and by beams; the prompt itself is in the cache. A step of the
 * last two multiplies the same rows; beams also choose among all their tokens, and copy what a beam that goes on twice has of its own. Then the
 * copy alone: of a whole row of the cache, and of the answer's part of it.
 */
import { availableParallelism } from "node:os";
import { Engine } from "@waggle/generation";
import { llama as llamaModel, tinyLlama } from "@waggle/language";
import { Runtime } from "@waggle/runtime";
import { cacheShapes, hidden_size, median, numberOption, randomLlama, vocab_size } from "./random-llama.ts";

const layers = numberOption("layers", 22);
const beams = numberOption("beams", 4);
const context = numberOption("context", 600);
const tokens = numberOption("tokens", 24);
const rounds = numberOption("rounds", 5);
const threads = numberOption("threads", availableParallelism());

const llama = await randomLlama(layers);
console.log(`${llama.graph.name}: ${threads} threads; ${tokens} tokens behind ${context}; medians of ${rounds} rounds, alternating`);
using runtime = new Runtime({ threads });
using session = await runtime.compile(llama.graph);
const none = await runtime.allocate("float32", [1, hidden_size]);
const decoder = llamaModel({ ...tinyLlama, num_hidden_layers: layers });
using engine = new Engine({ runtime, session, decoder, features: () => none, slots: beams });

const prompt = [Array.from({ length: context }, (_, i) => (1 + 97 * i) % vocab_size)];
const detokenizer = { decode: () => "", stream: () => ({ push: () => "", end: () => "" }) };
const ask = async (num_beams: number): Promise<number> => {
  const options = { num_beams, max_new_tokens: tokens, eos_token_id: [] };
  const { timings } = await engine.generate({ prompt, detokenizer, options }).result;
  return timings.decodeMs / (tokens - 1);
};
const sides = {
  "one sequence": () => ask(1),
  [`${beams} sequences`]: async () => Math.max(...(await Promise.all(Array.from({ length: beams }, () => ask(1))))),
  [`${beams} beams`]: () => ask(beams),
};
const times = new Map<string, number[]>();
await ask(beams); // now every row holds the prompt
for (let round = 0; round <= rounds; round++) {
  for (const [name, side] of Object.entries(sides)) {
    const each = await side();
    if (round > 0) times.set(name, [...(times.get(name) ?? []), each]);
  }
}
for (const [name, all] of times) console.log(`${name.padEnd(14)} ${median(all).toFixed(1)} ms per step`);

const caches = await Promise.all(
  cacheShapes(layers, context + 128).map(async ({ axis, shape: [, ...row] }) => ({
    axis,
    cache: await runtime.allocate("float32", [beams, ...row]),
  })),
);
for (const [what, start, count] of [
  ["a row's answer", context, tokens],
  ["a whole row", 0, context + tokens],
] as const) {
  const all: number[] = [];
  for (let i = 0; i < 20; i++) {
    const begin = performance.now();
    await Promise.all(caches.map(({ cache, axis }) => cache.copyInto(cache, { rows: [0, 0], part: { axis, start, count } })));
    all.push(performance.now() - begin);
  }
  console.log(`copy of ${what.padEnd(14)} ${median(all).toFixed(2)} ms in all ${layers} layers`);
}
