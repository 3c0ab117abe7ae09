/**
 * Load time and peak memory of a 1 GB float16 checkpoint, against ONNX Runtime alone with the same weights.
 *
 *     npm run bench -- load [--layers 9] [--rounds 3]
 *
 * Every line is a process of its own that loads the model and takes one step. Ours: the checkpoint's header, strict loading,
 * the cache of converted weights (empty the first time, then full), one session in the worker. ONNX Runtime alone: a
 * session with its own settings and nothing else, once with the float16 weights and a Cast behind each (as converters
 * write them), once with the same weights as float32.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { openCheckpoint, WeightCache, writeSafetensors } from "@waggle/checkpoint";
import { lower, serialize } from "@waggle/graph";
import { decoderGraph, llama, tinyLlama } from "@waggle/language";
import { loadStateDict } from "@waggle/nn";
import { placeWeights, Runtime } from "@waggle/runtime";
import { Tensor } from "onnxruntime-common";
import { cacheShapes, folder, folderOption, median, noise, numberOption, randomLlama, stepFeeds } from "./random-llama.ts";

const layers = numberOption("layers", 9);
const checkpointFolder = `${folder}/llama-${layers}-float16`;
const cacheFolder = `${folder}/llama-${layers}-cache`;
const [casting, plain] = ["float16", "float32"].map((dtype) => `${folder}/llama-${layers}-${dtype}.onnx`) as [string, string];

interface Measured {
  readonly loadMs: number;
  readonly peakMB: number;
}

const child = process.argv.indexOf("--child");
if (child >= 0) await measure(process.argv[child + 1] ?? "");
else await compare();

async function compare(): Promise<void> {
  await prepare();
  const { size } = statSync(`${checkpointFolder}/model.safetensors`);
  console.log(`float16 checkpoint of ${(size / 1e9).toFixed(2)} GB; each line the median of its rounds, peak over load and one step`);
  const seen: Record<string, Measured[]> = { "ours, converting": [], "ours, converted before": [] };
  for (let round = 0; round < numberOption("rounds", 3); round++) {
    rmSync(cacheFolder, { recursive: true, force: true });
    seen["ours, converting"]?.push(inChild("ours"));
    for (const [line, what] of order(round)) seen[line] = [...(seen[line] ?? []), inChild(what)];
  }
  const peaks: Record<string, number> = {};
  for (const [line, all] of Object.entries(seen)) {
    peaks[line] = median(all.map(({ peakMB }) => peakMB));
    console.log(
      `${line.padEnd(38)} load ${median(all.map(({ loadMs }) => loadMs))
        .toFixed(0)
        .padStart(6)} ms   peak RSS ${peaks[line].toFixed(0)} MB`,
    );
  }
  for (const ours of ["ours, converting", "ours, converted before"]) {
    for (const [theirs, mb = 0] of Object.entries(peaks)) {
      if (theirs.startsWith("ONNX")) console.log(`${ours} / ${theirs}: ${((peaks[ours] ?? 0) / mb).toFixed(2)} (≤ 1.3)`);
    }
  }
}

function order(round: number): readonly (readonly [string, string])[] {
  const sides = [
    ["ours, converted before", "ours"],
    ["ONNX Runtime, float16 with Cast", casting],
    ["ONNX Runtime, float32", plain],
  ] as const;
  return round % 2 === 0 ? sides : [...sides].reverse();
}

function inChild(what: string): Measured {
  const args = [...process.execArgv, fileURLToPath(import.meta.url), "--layers", `${layers}`, "--child", what];
  return JSON.parse(execFileSync(process.execPath, args, { encoding: "utf8" })) as Measured;
}

/** The checkpoint, and the two models that ONNX Runtime gets by hand. */
async function prepare(): Promise<void> {
  const language = llama({ ...tinyLlama, num_hidden_layers: layers });
  if (!existsSync(`${checkpointFolder}/model.safetensors`)) {
    mkdirSync(checkpointFolder, { recursive: true });
    const tensors = [...language.namedParameters()].map(([name, { shape }], seed) => ({
      name,
      dtype: "float16" as const,
      shape,
      read: async () => new Uint8Array(halves(noise(seed, shape)).buffer),
    }));
    await writeSafetensors(`${checkpointFolder}/model.safetensors`, tensors);
  }
  const { model } = await randomLlama(layers);
  writeFileSync(plain, model);
  loadStateDict(language, await openCheckpoint(checkpointFolder));
  const stored = serialize(lower(decoderGraph(language), "onnxruntime"), ({ source }, name) => {
    if (!source?.location) throw new Error(`no place for ${name}`);
    const { path, ...place } = source.location;
    return { location: path.slice(folder.length + 1), ...place, dtype: source.dtype };
  });
  writeFileSync(casting, stored);
}

async function measure(what: string): Promise<void> {
  const start = performance.now();
  const { step } = what === "ours" ? await ours() : await byHand(what);
  const loadMs = performance.now() - start;
  await step();
  console.log(JSON.stringify({ loadMs, peakMB: process.resourceUsage().maxRSS / 1024 } satisfies Measured));
  process.exit(0);
}

async function ours(): Promise<{ step: () => Promise<unknown> }> {
  const language = llama({ ...tinyLlama, num_hidden_layers: layers });
  loadStateDict(language, await openCheckpoint(checkpointFolder));
  const cache = new WeightCache({ folder: cacheFolder });
  const weights = placeWeights({
    convert: (requests, context) =>
      cache.get(
        requests.map(({ name, source }) => ({ name, source, dtype: "float32" })),
        context,
      ),
  });
  const runtime = new Runtime();
  const session = await runtime.compile(decoderGraph(language), { weights });
  return { step: () => session.run({ ...stepFeeds(1), ...emptyPast() }) };
}

async function byHand(path: string): Promise<{ step: () => Promise<unknown> }> {
  const { InferenceSession } = await import("onnxruntime-node");
  const session = await InferenceSession.create(new Uint8Array(readFileSync(path)), { extra: { session: { [folderOption]: folder } } });
  return { step: () => session.run({ ...stepFeeds(1), ...emptyPast() }) };
}

function emptyPast(): Record<string, Tensor> {
  const tensors = cacheShapes(layers, 1).map(({ name, shape }) => {
    return [
      `past_key_values.${name}`,
      new Tensor("float32", new Float32Array(shape.reduce((product, dim) => product * dim, 1)), shape),
    ] as const;
  });
  return Object.fromEntries(tensors);
}

/** Rounded towards zero; the noise is small enough never to overflow. */
function halves(values: Float32Array): Uint16Array<ArrayBuffer> {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  return Uint16Array.from(bits, (bit) => {
    const exponent = ((bit >>> 23) & 0xff) - 112;
    return exponent <= 0 ? (bit >>> 16) & 0x8000 : ((bit >>> 16) & 0x8000) | (exponent << 10) | ((bit >>> 13) & 0x3ff);
  });
}
