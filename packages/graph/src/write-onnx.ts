/** Writes a graph as `model.onnx` with its weights in `model.onnx_data` beside it: streamed, any size, renamed when whole. */
import { open, rename, rm, writeFile } from "node:fs/promises";
import { basename } from "node:path";
import type { Target } from "./emitter.ts";
import { type GraphDefinition, lower } from "./lower.ts";
import { type ExternalData, serialize } from "./serialize.ts";
import { GraphError } from "./shape-error.ts";

export interface WriteOnnxOptions {
  readonly target?: Target;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: { readonly done: number; readonly total: number }) => void;
}

/** @throws GraphError when a weight has no source; nothing is left behind then, nor after an abort. */
export async function writeOnnx(
  graph: GraphDefinition,
  path: string,
  { target = "portable", signal, onProgress }: WriteOnnxOptions = {},
): Promise<void> {
  const lowered = lower(graph, target);
  const empty = lowered.weights.filter(({ weight }) => weight.source === null).map(({ name }) => name);
  if (empty.length > 0)
    throw new GraphError(
      `writeOnnx: ${empty.length} weights have no source: ${empty.slice(0, 8).join(", ")}. Load or initialise the module first.`,
    );
  const data = `${path}_data`;
  const suffix = `.${process.pid}.tmp`;
  try {
    const places = new Map<string, ExternalData>();
    const file = await open(data + suffix, "w");
    try {
      let offset = 0;
      for (const [done, { name, weight }] of lowered.weights.entries()) {
        signal?.throwIfAborted();
        const bytes = await (weight.source?.read() ?? Promise.reject(new GraphError(`writeOnnx: ${name} lost its source.`)));
        await file.write(bytes, 0, bytes.byteLength, offset);
        places.set(name, { location: basename(data), offset, byteLength: bytes.byteLength, dtype: weight.source?.dtype ?? weight.dtype });
        offset += bytes.byteLength;
        onProgress?.({ done: done + 1, total: lowered.weights.length });
      }
      await file.sync();
    } finally {
      await file.close();
    }
    await writeFile(
      path + suffix,
      serialize(lowered, (_, name) => places.get(name) ?? new Uint8Array()),
    );
    await rename(data + suffix, data);
    await rename(path + suffix, path);
  } finally {
    await Promise.all([rm(data + suffix, { force: true }), rm(path + suffix, { force: true })]);
  }
}
