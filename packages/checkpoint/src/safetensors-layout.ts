import { CheckpointError, type CheckpointErrorCode, type Problem, throwIfAny } from "./checkpoint-error.ts";
import { byteLengthOf, type DataType, dataTypes } from "./data-type.ts";

/** A tensor that has its place in a file that is going to be written. */
export interface Placed<T> {
  readonly tensor: T;
  readonly offset: number; // from the beginning of the file
  readonly byteLength: number;
}

export interface SafetensorsLayout<T> {
  /** Length and JSON, padded with spaces. */
  readonly prefix: Uint8Array;
  readonly tensors: readonly Placed<T>[];
  readonly byteLength: number;
}

interface Described {
  readonly name: string;
  readonly dtype: DataType;
  readonly shape: readonly number[];
}

/**
 * Plans a safetensors file with `tensors` one behind the other, in the order given. The data starts at a multiple of
 * `alignment` bytes; the reference writer uses 8.
 */
export function layOut<T extends Described>(
  file: string,
  tensors: readonly T[],
  metadata: Readonly<Record<string, string>>,
  alignment: number,
): SafetensorsLayout<T> {
  const problems: Problem[] = [];
  const entries: [string, unknown][] = Object.keys(metadata).length > 0 ? [["__metadata__", metadata]] : [];
  const sizes: number[] = [];
  const names = new Set<string>();
  let end = 0;
  for (const { name, dtype, shape } of tensors) {
    const size = sizeOf(name, dtype, shape, names, (code, message) => problems.push({ code, file, entry: name, message }));
    names.add(name);
    sizes.push(size);
    entries.push([name, { dtype: dataTypes[dtype]?.safetensors, shape, data_offsets: [end, end + size] }]);
    end += size;
  }
  throwIfAny(problems);
  const prefix = encodeHeader(entries, alignment);
  let offset = prefix.byteLength;
  const placed = tensors.map((tensor, index) => {
    const byteLength = sizes[index] ?? 0;
    offset += byteLength;
    return { tensor, offset: offset - byteLength, byteLength };
  });
  return { prefix, tensors: placed, byteLength: offset };
}

function sizeOf(
  name: string,
  dtype: DataType,
  shape: readonly number[],
  names: ReadonlySet<string>,
  report: (code: CheckpointErrorCode, message: string) => void,
): number {
  if (names.has(name)) report("duplicate", "is given twice.");
  if (name === "__metadata__") report("invalid_entry", "is the name of the header's metadata, choose another.");
  if (!Object.hasOwn(dataTypes, dtype)) {
    report("unknown_dtype", `dtype ${dtype} is unknown. Known: ${Object.keys(dataTypes).join(", ")}.`);
    return 0;
  }
  const valid = shape.every((dim) => Number.isSafeInteger(dim) && dim >= 0);
  const size = valid ? byteLengthOf(dtype, shape) : undefined;
  if (size === undefined) report("invalid_entry", `shape [${shape.join(", ")}] is no tensor's shape.`);
  return size ?? 0;
}

function encodeHeader(entries: readonly (readonly [string, unknown])[], alignment: number): Uint8Array {
  // Object.fromEntries would put names like "0" first and lose the order: the object is written by hand.
  const fields = entries.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`);
  const json = new TextEncoder().encode(`{${fields.join(",")}}`);
  const length = Math.ceil((8 + json.byteLength) / alignment) * alignment - 8;
  const prefix = new Uint8Array(8 + length).fill(0x20);
  new DataView(prefix.buffer).setBigUint64(0, BigInt(length), true);
  prefix.set(json, 8);
  return prefix;
}

/** A tensor whose bytes are not those that its shape promises. */
export function checkBytes(file: string, entry: string, expected: number, found: number): void {
  if (found === expected) return;
  const message = `its shape needs ${expected} bytes, reading it gave ${found}.`;
  throw new CheckpointError({ code: "wrong_size", file, entry, message });
}
