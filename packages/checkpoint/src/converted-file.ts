/** One file of the weight cache: its key, its plan, and the conversion that fills it. */
import { createHash } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import { writeFully } from "./atomic-file.ts";
import { CheckpointError } from "./checkpoint-error.ts";
import { byteLengthOf, dataTypes } from "./data-type.ts";
import { toFloat32 } from "./float32.ts";
import type { OnProgress } from "./progress.ts";
import { checkBytes, layOut, type SafetensorsLayout } from "./safetensors-layout.ts";
import { chunksOf, type TensorLocation, type TensorSource } from "./tensor-entry.ts";

/** One tensor, as it is and as it is wanted. */
export interface WeightRequest {
  readonly name: string;
  readonly source: TensorSource & { readonly fingerprint: string; readonly location?: TensorLocation };
  readonly dtype: "float32";
}

interface Planned {
  readonly name: string;
  readonly dtype: "float32";
  readonly shape: readonly number[];
  readonly source: TensorSource;
}

export type ConvertedLayout = SafetensorsLayout<Planned>;

// Products read rows in cache lines of 64 bytes.
const ALIGNMENT = 64;
// Part of every key: raise it when the same request should give another file.
const FORMAT = 1;

/** Other names, other content or other types give another key; the order of the requests does not matter. */
export function keyOf(requests: readonly WeightRequest[]): string {
  const rows = requests.map(({ name, source, dtype }) => [name, source.fingerprint, source.dtype, source.shape, dtype]);
  const sorted = rows.map((row) => JSON.stringify(row)).sort();
  return createHash("sha256")
    .update(JSON.stringify([FORMAT, sorted]))
    .digest("hex");
}

/** Where each tensor will lie. Sizes that are multiples of a cache line go first: so all those stay aligned to it. */
export function planFile(path: string, requests: readonly WeightRequest[]): ConvertedLayout {
  for (const { name, dtype } of requests) {
    if (dtype === "float32") continue;
    const message = `cannot be converted to ${dtype}; the target is always float32.`;
    throw new CheckpointError({ code: "unsupported", file: path, entry: name, message });
  }
  const planned = requests.map(({ name, source, dtype }): Planned => ({ name, dtype, shape: source.shape, source }));
  const fitsLines = ({ shape }: Planned): boolean => (byteLengthOf("float32", shape) ?? 1) % ALIGNMENT === 0;
  planned.sort((a, b) => Number(fitsLines(b)) - Number(fitsLines(a)) || (a.name < b.name ? -1 : 1));
  const origins = new Set(requests.map(({ source }) => source.location?.path).filter((origin) => origin !== undefined));
  return layOut(path, planned, { sources: JSON.stringify([...origins].sort()) }, ALIGNMENT);
}

export function locationsIn(path: string, layout: ConvertedLayout): ReadonlyMap<string, TensorLocation> {
  return new Map(layout.tensors.map(({ tensor, offset, byteLength }) => [tensor.name, { path, offset, byteLength }]));
}

/** Reads, widens and writes piece by piece; one piece is written while the next is read and widened. */
export async function writeConverted(
  file: FileHandle,
  path: string,
  { prefix, tensors, byteLength: total }: ConvertedLayout,
  signal: AbortSignal | undefined,
  onProgress: OnProgress<"convert"> | undefined,
): Promise<void> {
  let writing: Promise<void> = writeFully(file, prefix, 0);
  try {
    const buffers = [new Float32Array(0), new Float32Array(0)] as [Float32Array, Float32Array];
    for (const { tensor, offset, byteLength } of tensors) {
      const { dtype } = tensor.source;
      const elementBytes = dataTypes[dtype].bytes;
      let position = offset;
      for await (const piece of chunksOf(tensor.source, (byteLength / 4) * elementBytes, signal)) {
        const elements = piece.byteLength / elementBytes;
        buffers.reverse();
        if (buffers[0].length < elements) buffers[0] = new Float32Array(elements);
        toFloat32(dtype, piece, buffers[0]);
        await writing;
        writing = writeFully(file, new Uint8Array(buffers[0].buffer, 0, elements * 4), position);
        writing.catch(() => {}); // it is awaited below; until then it must not count as unhandled
        position += elements * 4;
        onProgress?.({ phase: "convert", file: path, loaded: position, total });
      }
      checkBytes(path, tensor.name, byteLength, position - offset);
    }
    signal?.throwIfAborted();
  } finally {
    await writing; // the file must not be closed under it
  }
}
