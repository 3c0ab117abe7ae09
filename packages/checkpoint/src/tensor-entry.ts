import { constants } from "node:buffer";
import { createHash } from "node:crypto";
import { CheckpointError } from "./checkpoint-error.ts";
import type { DataType } from "./data-type.ts";
import type { FileState } from "./open-file.ts";
import { readExactly, withFile } from "./open-file.ts";

/** Where a tensor's contiguous little-endian bytes lie. `path` is the real file, symbolic links resolved. */
export interface TensorLocation {
  readonly path: string;
  readonly offset: number;
  readonly byteLength: number;
}

/** A tensor that can be read; what {@link writeSafetensors} takes. */
export interface TensorSource {
  readonly dtype: DataType;
  readonly shape: readonly number[];
  /** The whole tensor in its stored type, little-endian. */
  read(): Promise<Uint8Array>;
  /** Fills `into` with the bytes from `start` on. Absent for tensors that are computed: those are read whole. */
  readInto?(into: Uint8Array, start: number): Promise<void>;
}

/** One tensor of a checkpoint, known by its header; nothing of it is in memory until it is read. */
export interface TensorEntry extends TensorSource {
  readonly name: string;
  /** Absent where the elements do not lie in a row: a PyTorch file may hold a transposed matrix, or a slice of another. */
  readonly location?: TensorLocation;
  /** Names this content: another file, or the same file written anew, has another fingerprint. */
  readonly fingerprint: string;
}

/** A tensor that lies in a row, as nearly all do. */
export interface DenseTensorEntry extends TensorEntry {
  readonly location: TensorLocation;
  readInto(into: Uint8Array, start: number): Promise<void>;
}

export function tensorEntry(
  file: FileState,
  name: string,
  dtype: DataType,
  shape: readonly number[],
  location: TensorLocation,
): DenseTensorEntry {
  const { offset, byteLength } = location;
  const identity = [file.path, file.identity, offset, byteLength, dtype, shape.join("x")];
  const fingerprint = createHash("sha256").update(identity.join("\0")).digest("hex");
  const readInto = (into: Uint8Array, start: number): Promise<void> =>
    withFile(file.path, async (handle, { identity }) => {
      if (identity !== file.identity) throw changed(file.path, name);
      await readExactly(handle, file.path, into, offset + start);
    });
  const read = async (): Promise<Uint8Array> => {
    if (byteLength > constants.MAX_LENGTH) throw tooLarge(file.path, name, byteLength);
    const bytes = new Uint8Array(byteLength);
    await readInto(bytes, 0);
    return bytes;
  };
  return { name, dtype, shape, location, fingerprint, read, readInto };
}

function tooLarge(file: string, entry: string, byteLength: number): CheckpointError {
  return new CheckpointError({
    code: "too_large",
    file,
    entry,
    message: `has ${byteLength} bytes, one array holds at most ${constants.MAX_LENGTH}. Read it by ranges with \`readInto\`.`,
  });
}

function changed(file: string, entry: string): CheckpointError {
  return new CheckpointError({
    code: "changed",
    file,
    entry,
    message: "the file was changed after its header was read. Open the checkpoint again.",
  });
}

// A multiple of every element size; large enough that system calls do not count, small enough to stay in cache.
const CHUNK = 4 * 2 ** 20;

/** The bytes of `source` piece by piece, each a whole number of elements. A piece is valid until the next is asked for. */
export async function* chunksOf(source: TensorSource, byteLength: number, signal?: AbortSignal): AsyncGenerator<Uint8Array, void, void> {
  signal?.throwIfAborted();
  const whole = source.readInto === undefined ? aligned(await source.read()) : undefined;
  const buffer = new Uint8Array(whole ? 0 : Math.min(byteLength, CHUNK));
  const length = whole?.byteLength ?? byteLength;
  for (let start = 0; start < length; start += CHUNK) {
    signal?.throwIfAborted();
    const end = Math.min(start + CHUNK, length);
    const piece = whole?.subarray(start, end) ?? buffer.subarray(0, end - start);
    if (!whole) await source.readInto?.(piece, start);
    yield piece;
  }
}

/** Typed views of a piece need it to start at a multiple of its element size. */
function aligned(bytes: Uint8Array): Uint8Array {
  return bytes.byteOffset % 8 === 0 ? bytes : bytes.slice();
}
