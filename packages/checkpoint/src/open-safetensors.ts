import { type FileHandle, realpath } from "node:fs/promises";
import { CheckpointError } from "./checkpoint-error.ts";
import { type FileState, readExactly, withFile } from "./open-file.ts";
import { checkOptions } from "./options.ts";
import { parseHeader, type SafetensorsHeader } from "./safetensors-header.ts";
import { type DenseTensorEntry, type TensorEntry, tensorEntry } from "./tensor-entry.ts";

/** A set of named tensors on disk, known by their headers. No file stays open. */
export interface Checkpoint<Entry extends TensorEntry = TensorEntry> {
  /** The file or folder it came from, for messages. */
  readonly source: string;
  readonly tensors: ReadonlyMap<string, Entry>;
  /** Free text that the writer left in the file (`__metadata__`). */
  readonly metadata: Readonly<Record<string, string>>;
}

export interface OpenOptions {
  readonly signal?: AbortSignal;
}

/** The reference implementation's limit. A header of 100 MB would name about a million tensors. */
const LARGEST_HEADER = 100_000_000;

/** Opens one safetensors file: reads and checks its header, and nothing else of it. */
export async function openSafetensors(path: string, options: OpenOptions = {}): Promise<Checkpoint<DenseTensorEntry>> {
  checkOptions("openSafetensors", options, ["signal"]);
  options.signal?.throwIfAborted();
  const { header, dataStart, state } = await withFile(path, async (file, opened) => ({
    ...(await readHeader(file, path, opened.size)),
    state: opened,
  }));
  // The real path: external data of an ONNX graph may not be reached through symbolic links (the hub's cache is made of them).
  const resolved: FileState = { ...state, path: await realpath(path) };
  const tensors = new Map<string, DenseTensorEntry>();
  for (const { name, dtype, shape, begin, end } of header.entries) {
    const location = { path: resolved.path, offset: dataStart + begin, byteLength: end - begin };
    tensors.set(name, tensorEntry(resolved, name, dtype, shape, location));
  }
  return { source: path, tensors, metadata: header.metadata };
}

async function readHeader(file: FileHandle, path: string, size: number): Promise<{ header: SafetensorsHeader; dataStart: number }> {
  if (size < 8) {
    throw new CheckpointError({
      code: "truncated",
      file: path,
      message: `has ${size} bytes, a safetensors file has at least 8.`,
    });
  }
  const prefix = new Uint8Array(8);
  await readExactly(file, path, prefix, 0);
  const length = new DataView(prefix.buffer).getBigUint64(0, true);
  checkHeaderLength(length, size, path);
  const json = new Uint8Array(Number(length));
  await readExactly(file, path, json, 8);
  const dataStart = 8 + json.byteLength;
  return { header: parseHeader(json, size - dataStart, path), dataStart };
}

function checkHeaderLength(length: bigint, size: number, path: string): void {
  if (length > LARGEST_HEADER) {
    throw new CheckpointError({
      code: "too_large",
      file: path,
      message: `its header claims ${length} bytes, the limit is ${LARGEST_HEADER}. This is no safetensors file, or a damaged one.`,
    });
  }
  if (length > size - 8) {
    throw new CheckpointError({
      code: "truncated",
      file: path,
      message: `its header claims ${length} bytes, but only ${size - 8} follow. Copy or download it again.`,
    });
  }
}
