import type { FileHandle } from "node:fs/promises";
import { writeAtomically, writeFully } from "./atomic-file.ts";
import { dataTypes } from "./data-type.ts";
import { checkOptions } from "./options.ts";
import type { OnProgress } from "./progress.ts";
import { checkBytes, layOut, type SafetensorsLayout } from "./safetensors-layout.ts";
import { chunksOf, type TensorSource } from "./tensor-entry.ts";

export interface NamedTensor extends TensorSource {
  readonly name: string;
}

export interface WriteOptions {
  /** Free text for the header; loaders of PyTorch models expect `{ format: "pt" }`. */
  readonly metadata?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  readonly onProgress?: OnProgress<"write">;
}

/**
 * Writes one safetensors file, tensor by tensor: memory holds one tensor at a time, or a piece of it. The file appears
 * when it is complete and on the disk. Order and padding are the reference writer's: the same tensors give the same bytes.
 */
export async function writeSafetensors(path: string, tensors: Iterable<NamedTensor>, options: WriteOptions = {}): Promise<void> {
  checkOptions("writeSafetensors", options, ["metadata", "signal", "onProgress"]);
  options.signal?.throwIfAborted();
  const layout = layOut(path, [...tensors].sort(inFileOrder), options.metadata ?? {}, 8);
  await writeAtomically(path, (file) => writeTensors(file, path, layout, options));
}

async function writeTensors(
  file: FileHandle,
  path: string,
  { prefix, tensors, byteLength: total }: SafetensorsLayout<NamedTensor>,
  { signal, onProgress }: WriteOptions,
): Promise<void> {
  await writeFully(file, prefix, 0);
  for (const { tensor, offset, byteLength } of tensors) {
    let position = offset;
    for await (const chunk of chunksOf(tensor, byteLength, signal)) {
      await writeFully(file, chunk, position);
      position += chunk.byteLength;
      onProgress?.({ phase: "write", file: path, loaded: position, total });
    }
    checkBytes(path, tensor.name, byteLength, position - offset);
  }
  signal?.throwIfAborted();
}

const typeOrder = Object.keys(dataTypes);

function inFileOrder(a: NamedTensor, b: NamedTensor): number {
  return typeOrder.indexOf(a.dtype) - typeOrder.indexOf(b.dtype) || compareUtf8(a.name, b.name);
}

/** As the bytes of UTF-8 compare, which is by code point and not by JavaScript's 16-bit units. */
function compareUtf8(a: string, b: string): number {
  return a === b ? 0 : Buffer.compare(Buffer.from(a), Buffer.from(b));
}
