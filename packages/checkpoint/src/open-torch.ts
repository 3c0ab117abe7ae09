/**
 * Files by `torch.save` (.bin, .pt, .pth): a pickle that describes the tensors, and their storages. Since PyTorch 1.6 a
 * zip archive with one stored entry per storage; before, five pickles and then the storages one behind the other.
 */
import { constants } from "node:buffer";
import { type FileHandle, realpath } from "node:fs/promises";
import { crc32 } from "node:zlib";
import { CheckpointError, type CheckpointErrorCode, type Problem, throwIfAny } from "./checkpoint-error.ts";
import { byteLengthOf, dataTypes } from "./data-type.ts";
import { type FileState, readExactly, withFile } from "./open-file.ts";
import type { Checkpoint, OpenOptions } from "./open-safetensors.ts";
import { checkOptions } from "./options.ts";
import { PickleError } from "./pickle.ts";
import { gather, isDense, spanOf } from "./strided-tensor.ts";
import { type TensorEntry, tensorEntry } from "./tensor-entry.ts";
import { readTorchPickle, type TorchTensor, tensorsIn } from "./torch-pickle.ts";
import { readZipDirectory } from "./zip-directory.ts";

/** The state of a file whose pickle has been read: what it describes, and where the storages lie. */
interface TorchFile {
  readonly value: unknown;
  readonly storages: ReadonlyMap<string, { readonly offset: number; readonly byteLength: number }>;
}

/** Opens one file by `torch.save`: reads its pickle, executing nothing, and checks that the storages hold what it describes. */
export async function openTorch(path: string, options: OpenOptions = {}): Promise<Checkpoint> {
  checkOptions("openTorch", options, ["signal"]);
  options.signal?.throwIfAborted();
  const { torch, state } = await withFile(path, async (file, opened) => {
    const start = new Uint8Array(Math.min(4, opened.size));
    await readExactly(file, path, start, 0);
    const isZip = start[0] === 0x50 && start[1] === 0x4b; // "PK"
    return { torch: await (isZip ? readArchive : readLegacy)(file, path, opened.size), state: opened };
  });
  const resolved: FileState = { ...state, path: await realpath(path) };
  const problems: Problem[] = [];
  const tensors = new Map<string, TensorEntry>();
  for (const [name, tensor] of explained(path, () => tensorsIn(torch.value))) {
    const problem = tensors.has(name) ? duplicate : check(tensor, torch, state.size);
    if (problem) problems.push({ ...problem, file: path, entry: name });
    else tensors.set(name, entryOf(resolved, name, tensor, torch));
  }
  throwIfAny(problems);
  return { source: path, tensors, metadata: {} };
}

async function readArchive(file: FileHandle, path: string, size: number): Promise<TorchFile> {
  const entries = await readZipDirectory(file, path, size);
  const name = [...entries.keys()].find((key) => /^[^/]*\/data\.pkl$/.test(key));
  const entry = name === undefined ? undefined : entries.get(name);
  if (name === undefined || entry === undefined) {
    throw problem(path, "invalid_header", "is a zip archive without data.pkl: torch.save did not write it.");
  }
  const root = name.slice(0, -"data.pkl".length);
  const byteOrder = entries.get(`${root}byteorder`);
  if (byteOrder && new TextDecoder().decode(await read(file, path, byteOrder)) !== "little") {
    throw problem(path, "unsupported", "was written on a big-endian machine.");
  }
  const pickle = await read(file, path, entry);
  if (crc32(pickle) !== entry.crc32) throw problem(path, "invalid_header", "its data.pkl is damaged (CRC). Copy or download it again.");
  const { value, storages } = explained(path, () => readTorchPickle(pickle, 0));
  const located = new Map<string, { offset: number; byteLength: number }>();
  for (const key of storages.keys()) {
    const storage = entries.get(`${root}data/${key}`);
    if (storage) located.set(key, storage);
  }
  return { value, storages: located };
}

const LARGEST_PICKLE = 64 * 2 ** 20;

async function read(
  file: FileHandle,
  path: string,
  { offset, byteLength }: { readonly offset: number; readonly byteLength: number },
): Promise<Uint8Array> {
  if (byteLength > LARGEST_PICKLE) throw problem(path, "too_large", `its pickle has ${byteLength} bytes, the limit is ${LARGEST_PICKLE}.`);
  const bytes = new Uint8Array(byteLength);
  await readExactly(file, path, bytes, offset);
  return bytes;
}

/** The five pickles' length is nowhere written: read so much of the file that they fit. */
async function readLegacy(file: FileHandle, path: string, size: number): Promise<TorchFile> {
  for (let length = 2 ** 20; ; length *= 4) {
    const byteLength = Math.min(length, size, LARGEST_PICKLE);
    const head = await read(file, path, { offset: 0, byteLength });
    try {
      const pickles = explainedPickles(head);
      return { value: pickles.value, storages: await locateLegacy(file, path, size, pickles) };
    } catch (error) {
      if (!(error instanceof PickleError)) throw error;
      if (error.code === "truncated" && byteLength < Math.min(size, LARGEST_PICKLE)) continue;
      throw asCheckpointError(path, error);
    }
  }
}

const MAGIC = 0x1950a86a20f9469cfc6cn;
const LEGACY_PROTOCOL = 1001;

interface LegacyPickles {
  readonly value: unknown;
  readonly keys: readonly unknown[];
  readonly described: ReturnType<typeof readTorchPickle>["storages"];
  readonly end: number;
}

function explainedPickles(head: Uint8Array): LegacyPickles {
  const magic = readTorchPickle(head, 0);
  const protocol = readTorchPickle(head, magic.end);
  if (magic.value !== MAGIC || protocol.value !== LEGACY_PROTOCOL) {
    throw new PickleError("invalid", "is a pickle, but not one that torch.save wrote.");
  }
  const system = readTorchPickle(head, protocol.end);
  if (system.value instanceof Map && system.value.get("little_endian") === false) {
    throw new PickleError("invalid", "was written on a big-endian machine.");
  }
  const object = readTorchPickle(head, system.end);
  const keys = readTorchPickle(head, object.end);
  if (!Array.isArray(keys.value)) throw new PickleError("invalid", "has no list of storages.");
  return { value: object.value, keys: keys.value, described: object.storages, end: keys.end };
}

/** Each storage: the number of its elements, and then they. */
async function locateLegacy(
  file: FileHandle,
  path: string,
  size: number,
  { keys, described, end }: LegacyPickles,
): Promise<TorchFile["storages"]> {
  const located = new Map<string, { offset: number; byteLength: number }>();
  let position = end;
  for (const key of keys) {
    const storage = described.get(String(key));
    if (storage?.dtype === undefined)
      throw problem(path, "unknown_dtype", `its storage ${String(key)} is of type ${storage?.type ?? "unknown"}.`);
    const count = new Uint8Array(8);
    await readExactly(file, path, count, position);
    const elements = Number(new DataView(count.buffer).getBigInt64(0, true));
    const byteLength = elements * dataTypes[storage.dtype].bytes;
    if (elements < 0 || position + 8 + byteLength > size) {
      throw problem(
        path,
        "truncated",
        `its storage ${String(key)} ends at byte ${position + 8 + byteLength}, the file has ${size}. Copy or download it again.`,
      );
    }
    located.set(String(key), { offset: position + 8, byteLength });
    position += 8 + byteLength;
  }
  return located;
}

type Fault = Pick<Problem, "code" | "message">;
const duplicate: Fault = { code: "duplicate", message: "two tensors have this name." };

/** Sizes are checked here, before memory is asked for: the pickle may claim any shape. */
function check(
  { dtype, type, shape, strides, offset, storage }: TorchTensor,
  { storages }: TorchFile,
  fileSize: number,
): Fault | undefined {
  if (dtype === undefined)
    return { code: "unknown_dtype", message: `type ${type} is not supported. Known: ${Object.keys(dataTypes).join(", ")}.` };
  const located = storages.get(storage.key);
  if (located === undefined) return { code: "missing_tensor", message: `its storage ${storage.key} is not in the file.` };
  const elementBytes = dataTypes[dtype].bytes;
  const end = (storage.start + offset + spanOf(shape, strides)) * elementBytes;
  if (!(end <= located.byteLength) && !shape.includes(0)) {
    return {
      code: "out_of_range",
      message: `[${shape.join(", ")}] reaches to byte ${end} of storage ${storage.key}, which has ${located.byteLength}.`,
    };
  }
  const dense = byteLengthOf(dtype, shape);
  if (dense === undefined || dense > Math.max(fileSize, constants.MAX_LENGTH / 2 ** 10)) {
    return {
      code: "too_large",
      message: `[${shape.join(", ")}] would be larger than the whole file: its strides repeat elements without end.`,
    };
  }
  return undefined;
}

function entryOf(file: FileState, name: string, tensor: TorchTensor, { storages }: TorchFile): TensorEntry {
  const { dtype = "uint8", shape, strides, storage } = tensor; // the type was checked
  const elementBytes = dataTypes[dtype].bytes;
  const start = (storages.get(storage.key)?.offset ?? 0) + (storage.start + tensor.offset) * elementBytes;
  if (isDense(shape, strides)) {
    return tensorEntry(file, name, dtype, shape, { path: file.path, offset: start, byteLength: byteLengthOf(dtype, shape) ?? 0 });
  }
  const span = { path: file.path, offset: start, byteLength: spanOf(shape, strides) * elementBytes };
  const { readInto, fingerprint } = tensorEntry(file, name, dtype, [...shape, ...strides], span);
  return { name, dtype, shape, fingerprint, read: () => gather({ shape, strides, elementBytes }, readInto) };
}

/** Runs what reads a pickle; its errors become ours, with the file's name. */
function explained<T>(file: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw error instanceof PickleError ? asCheckpointError(file, error) : error;
  }
}

function asCheckpointError(file: string, error: PickleError): CheckpointError {
  const code: CheckpointErrorCode = error.code === "invalid" ? "invalid_header" : error.code;
  return new CheckpointError({ code, file, message: error.message }, { cause: error });
}

function problem(file: string, code: CheckpointErrorCode, message: string): CheckpointError {
  return new CheckpointError({ code, file, message });
}
