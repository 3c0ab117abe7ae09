/** Writes a graph as `model.onnx` with its weights in `model.onnx_data` beside it: streamed, any size, renamed when whole. */
import { randomUUID } from "node:crypto";
import { type FileHandle, open, rename, rm, writeFile } from "node:fs/promises";
import { basename } from "node:path";
import { dataTypes } from "./data-type.ts";
import type { Target } from "./emitter.ts";
import { type GraphDefinition, type LoweredGraph, lower } from "./lower.ts";
import { type ExternalData, serialize } from "./serialize.ts";
import { GraphError } from "./shape-error.ts";
import type { Weight, WeightSource } from "./value.ts";

export interface WriteOnnxOptions {
  readonly target?: Target;
  readonly signal?: AbortSignal;
  /** After each weight; `loaded` and `total` are bytes. */
  readonly onProgress?: (progress: {
    readonly phase: "write";
    readonly file: string;
    readonly loaded: number;
    readonly total: number;
  }) => void;
}

/** Weights begin on a page, so that tools can map them. */
const PAGE = 4096;
/** One write call takes less than 2 GiB on Linux; a pause between pieces lets an abort be seen. */
const PIECE = 64 * 2 ** 20;

/**
 * Weights keep the type they are stored in. Memory: the largest weight, not the model.
 * @throws GraphError when weights have no source or one has the wrong size; nothing is left behind then, nor after an abort.
 */
export async function writeOnnx(graph: GraphDefinition, path: string, options: WriteOnnxOptions = {}): Promise<void> {
  const lowered = lower(graph, options.target ?? "portable");
  const empty = lowered.weights.filter(({ weight }) => weight.source === null).map(({ name }) => name);
  if (empty.length > 0) {
    const named = `${empty.slice(0, 8).join(", ")}${empty.length > 8 ? " …" : ""}`;
    throw new GraphError(`writeOnnx: ${empty.length} weights have no source: ${named}. Load or initialise the module first.`);
  }
  const [data, suffix] = [`${path}_data`, `.${randomUUID()}.tmp`];
  try {
    const places = await writeWeights(lowered, data, suffix, options);
    const model = serialize(lowered, (weight) => places.get(weight) ?? new Uint8Array());
    await writeFile(path + suffix, model, { flush: true });
    options.signal?.throwIfAborted();
    // An earlier model goes first: should the process end between the renames, there is no model rather than one with foreign weights.
    await rm(path, { force: true });
    if (lowered.weights.length > 0) await rename(data + suffix, data);
    else await rm(data, { force: true });
    await rename(path + suffix, path);
  } finally {
    await Promise.all([rm(data + suffix, { force: true }), rm(path + suffix, { force: true })]);
  }
}

async function writeWeights(
  { weights }: LoweredGraph,
  data: string,
  suffix: string,
  { signal, onProgress }: WriteOnnxOptions,
): Promise<ReadonlyMap<Weight, ExternalData>> {
  const places = new Map<Weight, ExternalData>();
  const sources = weights.flatMap(({ name, weight }) => (weight.source === null ? [] : [{ name, weight, source: weight.source }]));
  if (sources.length === 0) return places;
  const total = sources.reduce((sum, { source }) => sum + byteLengthOf(source), 0);
  const file = await open(data + suffix, "wx");
  try {
    let [offset, loaded] = [0, 0];
    for (const { name, weight, source } of sources) {
      signal?.throwIfAborted();
      const bytes = await source.read();
      if (bytes.byteLength !== byteLengthOf(source) || source.shape.join() !== weight.shape.join()) {
        throw new GraphError(
          `writeOnnx: weight "${name}" [${weight.shape.join(", ")}] got ${bytes.byteLength} bytes of ${source.dtype} [${source.shape.join(", ")}].`,
        );
      }
      await writeWhole(file, bytes, offset, signal);
      places.set(weight, { location: basename(data), offset, byteLength: bytes.byteLength, dtype: source.dtype });
      offset = Math.ceil((offset + bytes.byteLength) / PAGE) * PAGE;
      loaded += bytes.byteLength;
      onProgress?.({ phase: "write", file: data, loaded, total });
    }
    await file.sync();
  } finally {
    await file.close();
  }
  return places;
}

function byteLengthOf({ dtype, shape }: WeightSource): number {
  return shape.reduce((product, dim) => product * dim, dataTypes[dtype].byteLength);
}

async function writeWhole(file: FileHandle, bytes: Uint8Array, offset: number, signal: AbortSignal | undefined): Promise<void> {
  for (let done = 0; done < bytes.byteLength; ) {
    signal?.throwIfAborted();
    const { bytesWritten } = await file.write(bytes, done, Math.min(PIECE, bytes.byteLength - done), offset + done);
    done += bytesWritten;
  }
}
