/**
 * A floating-point tensor in another type: through float32, rounded once more to nearest, ties to even, as PyTorch's `.to(dtype)` does.
 * What overflows becomes an infinity; a NaN stays one.
 */
import { type DataType, dataTypes } from "./data-type.ts";
import { toFloat32 } from "./float32.ts";
import type { TensorSource } from "./tensor-entry.ts";

export type FloatType = "float32" | "float16" | "bfloat16";

const floats: ReadonlySet<DataType> = new Set(["float64", "float32", "float16", "bfloat16"]);
const PIECE = 2 ** 20; // elements that are float32 at a time

/** `source` in type `dtype`, converted piece by piece when it is read. Integers and booleans stay what they are. */
export function castTensor(source: TensorSource, dtype: FloatType): TensorSource {
  if (source.dtype === dtype || !floats.has(source.dtype)) return source;
  const from = dataTypes[source.dtype].bytes;
  const to = dataTypes[dtype].bytes;
  const read = async (): Promise<Uint8Array> => {
    const bytes = await source.read();
    const into = new Uint8Array((bytes.byteLength / from) * to);
    castBytes(source.dtype, bytes, dtype, into);
    return into;
  };
  const cast = { dtype, shape: source.shape, read };
  if (source.readInto === undefined) return cast;
  const readInto = async (into: Uint8Array, start: number): Promise<void> => {
    const bytes = new Uint8Array((into.byteLength / to) * from);
    await source.readInto?.(bytes, (start / to) * from);
    castBytes(source.dtype, bytes, dtype, into);
  };
  return { ...cast, readInto };
}

/** Elements of one type, little-endian, to as many of another. */
function castBytes(from: DataType, bytes: Uint8Array, to: FloatType, into: Uint8Array): void {
  const [read, write] = [dataTypes[from].bytes, dataTypes[to].bytes];
  const aligned = bytes.byteOffset % read === 0 ? bytes : bytes.slice();
  const elements = bytes.byteLength / read;
  const values = new Float32Array(Math.min(elements, PIECE));
  for (let start = 0; start < elements; start += PIECE) {
    const count = Math.min(PIECE, elements - start);
    toFloat32(from, aligned.subarray(start * read, (start + count) * read), values);
    narrow(to, values.subarray(0, count), into.subarray(start * write, (start + count) * write));
  }
}

function narrow(dtype: FloatType, values: Float32Array, into: Uint8Array): void {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  if (dtype === "float32") return void into.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  const narrowed = dtype === "float16" ? halfBits : brainBits;
  const isAligned = into.byteOffset % 2 === 0;
  const out = isAligned ? new Uint16Array(into.buffer, into.byteOffset, values.length) : new Uint16Array(values.length);
  for (let index = 0; index < bits.length; index++) out[index] = narrowed(bits[index] as number);
  if (!isAligned) into.set(new Uint8Array(out.buffer));
}

/** The bfloat16 nearest to the float32 with these bits: its upper half, rounded. */
function brainBits(bits: number): number {
  if ((bits & 0x7fffffff) > 0x7f800000) return 0x7fc0;
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}

/** The float16 nearest to the float32 with these bits. */
function halfBits(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00; // NaN
  if (magnitude >= 0x477ff000) return sign | 0x7c00; // from 65520 on
  if (magnitude >= 0x38800000) {
    const rebiased = magnitude - 0x38000000; // 112 = 127 − 15 exponents
    return sign | ((rebiased + 0xfff + ((rebiased >>> 13) & 1)) >>> 13);
  }
  // Subnormal: so many 2⁻²⁴.
  const shift = 126 - (magnitude >>> 23);
  if (shift > 24) return sign;
  const fraction = (magnitude & 0x7fffff) | 0x800000;
  const whole = fraction >>> shift;
  const rest = fraction & (2 ** shift - 1);
  const half = 2 ** (shift - 1);
  return sign | (whole + Number(rest > half || (rest === half && (whole & 1) === 1)));
}
