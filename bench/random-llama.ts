// A TinyLlama-shaped decoder with random weights, in a file that is written once: what several benchmarks run.
import { existsSync, mkdirSync, renameSync } from "node:fs";
import { open } from "node:fs/promises";
import { type GraphDefinition, lower, serialize, type WeightSource } from "@waggle/graph";
import { decoderGraph, llama, tinyLlama } from "@waggle/language";
import { Tensor } from "onnxruntime-common";

export const folder: string = new URL("../.bench", import.meta.url).pathname;
export const { hidden_size, num_key_value_heads: kvHeads, vocab_size } = tinyLlama;
export const headDim: number = hidden_size / tinyLlama.num_attention_heads;
/** How a session names the folder of its weights. */
export const folderOption = "model_external_initializers_file_folder_path";

export interface RandomLlama {
  readonly layers: number;
  readonly graph: GraphDefinition;
  /** The bytes that `InferenceSession.create` takes by hand, with {@link folder} as the place of their weights. */
  readonly model: Uint8Array;
  readonly bytes: number;
}

export function randomLlama(layers: number): Promise<RandomLlama> {
  return withFile(layers, `tinyllama-${layers}.bin`);
}

async function withFile(layers: number, file: string): Promise<RandomLlama> {
  const language = llama({ ...tinyLlama, num_hidden_layers: layers });
  const path = `${folder}/${file}`;
  let bytes = 0;
  const places = new Map<string, { location: string; offset: number; byteLength: number }>();
  for (const [name, parameter] of language.namedParameters()) {
    const { shape } = parameter;
    const byteLength = 4 * shape.reduce((product, dim) => product * dim, 1);
    const offset = bytes;
    places.set(name, { location: file, offset, byteLength });
    const source: WeightSource = {
      dtype: "float32",
      shape,
      location: { path, offset, byteLength },
      fingerprint: `${file}/${name}`,
      read: async () => new Uint8Array(noise(offset, shape).buffer),
    };
    parameter.label = name;
    parameter.source = source;
    bytes += byteLength;
  }
  if (!existsSync(path))
    await write(
      path,
      [...language.namedParameters()].map(([, { source }]) => source).filter((source) => source !== null),
    );
  const graph = { name: `TinyLlama, ${layers} layers`, ...decoderGraph(language) };
  const model = serialize(lower(graph, "onnxruntime"), (_, name) => {
    const place = places.get(name);
    if (!place) throw new Error(`no place for ${name}`);
    return place;
  });
  return { layers, graph, model, bytes };
}

async function write(path: string, sources: readonly WeightSource[]): Promise<void> {
  mkdirSync(folder, { recursive: true });
  const file = await open(`${path}.part`, "w");
  for (const source of sources) await file.writeFile(await source.read());
  await file.close();
  renameSync(`${path}.part`, path);
}

/** Cheap random numbers of the size that a layer's weights have, others for each seed: ONNX Runtime packs equal matrices once. Norms are 1. */
export function noise(seed: number, shape: readonly number[]): Float32Array<ArrayBuffer> {
  const length = shape.reduce((product, dim) => product * dim, 1);
  const values = new Float32Array(length);
  if (shape.length === 1) return values.fill(1);
  const scale = 2 ** -31 / Math.sqrt(shape[1] ?? 1);
  let state = seed;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    values[i] = state * scale;
  }
  return values;
}

/** What every step is fed beside the cache. `past` tokens lie in it. */
export function stepFeeds(past: number): Record<string, Tensor> {
  return {
    input_ids: new Tensor("int64", [7n], [1, 1]),
    features: new Tensor("float32", new Float32Array(hidden_size), [1, hidden_size]),
    feature_rows: new Tensor("int64", [-1n], [1, 1]),
    position_ids: new Tensor("int64", [BigInt(past)], [1, 1]),
    past_lengths: new Tensor("int64", [BigInt(past)], [1]),
  };
}

export function cacheShapes(
  layers: number,
  capacity: number,
): readonly { readonly name: string; readonly axis: number; readonly shape: readonly number[] }[] {
  return Array.from({ length: layers }, (_, layer) => [
    { name: `${layer}.key`, axis: 3, shape: [1, kvHeads, headDim, capacity] },
    { name: `${layer}.value`, axis: 2, shape: [1, kvHeads, capacity, headDim] },
  ]).flat();
}

export function median(times: readonly number[]): number {
  return [...times].sort((a, b) => a - b)[times.length >> 1] ?? Number.NaN;
}

/** The number after `--name` on the command line. */
export function numberOption(name: string, otherwise: number): number {
  const at = process.argv.indexOf(`--${name}`);
  const value = at < 0 ? otherwise : Number(process.argv[at + 1]);
  if (!(value > 0)) throw new Error(`--${name}: expected a number > 0, got ${process.argv[at + 1]}`);
  return value;
}
