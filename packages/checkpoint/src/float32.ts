/**
 * Stored elements to float32, exactly: float16 and bfloat16 widen without loss (subnormals, infinities and the bits of
 * NaNs included), everything wider or of another kind is rounded once, to nearest, ties to even, as PyTorch's
 * `.to(torch.float32)` does. Little-endian machines only, which are all that Node's supported platforms have but s390x.
 */
import { endianness } from "node:os";
import { type DataType, dataTypes } from "./data-type.ts";
import { chunksOf, type TensorSource } from "./tensor-entry.ts";

if (endianness() !== "LE") throw new Error("@waggle/checkpoint needs a little-endian machine.");

type Convert = (bytes: Uint8Array, into: Float32Array) => void;

/** Converts all elements in `bytes` (whose start is aligned to its elements) into the first ones of `into`. */
export function toFloat32(dtype: DataType, bytes: Uint8Array, into: Float32Array): void {
  conversions[dtype](bytes, into);
}

const conversions: { readonly [Type in DataType]: Convert } = {
  float16: widenHalf,
  bfloat16: widenBrain,
  float32: (bytes, into) => into.set(view(Float32Array, bytes)),
  float64: (bytes, into) => into.set(view(Float64Array, bytes)),
  int64: roundLong,
  int32: (bytes, into) => into.set(view(Int32Array, bytes)),
  int8: (bytes, into) => into.set(view(Int8Array, bytes)),
  uint8: (bytes, into) => into.set(bytes),
  bool: (bytes, into) => {
    for (let index = 0; index < bytes.length; index++) into[index] = bytes[index] === 0 ? 0 : 1;
  },
};

type View<T> = { readonly BYTES_PER_ELEMENT: number; new (buffer: ArrayBufferLike, offset: number, length: number): T };

function view<T>(type: View<T>, { buffer, byteOffset, byteLength }: Uint8Array): T {
  return new type(buffer, byteOffset, byteLength / type.BYTES_PER_ELEMENT);
}

let halfTable: Uint32Array | undefined;

function widenHalf(bytes: Uint8Array, into: Float32Array): void {
  halfTable ??= buildHalfTable();
  const table = halfTable;
  const from = view(Uint16Array, bytes);
  const bits = new Uint32Array(into.buffer, into.byteOffset, from.length);
  for (let index = 0; index < from.length; index++) bits[index] = table[from[index] as number] as number;
}

function widenBrain(bytes: Uint8Array, into: Float32Array): void {
  const from = view(Uint16Array, bytes);
  const bits = new Uint32Array(into.buffer, into.byteOffset, from.length);
  for (let index = 0; index < from.length; index++) bits[index] = (from[index] as number) << 16;
}

/** The float32 bits of every float16: 256 KB, which the second-level cache holds. */
function buildHalfTable(): Uint32Array {
  const table = new Uint32Array(65536);
  for (let half = 0; half < 65536; half++) table[half] = widenedBits(half);
  return table;
}

function widenedBits(half: number): number {
  const sign = (half & 0x8000) << 16;
  const exponent = (half >>> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 31) return sign | 0x7f800000 | (fraction << 13); // infinity, NaN
  if (exponent > 0) return sign | ((exponent + 112) << 23) | (fraction << 13); // 112 = 127 − 15, the difference of the biases
  if (fraction === 0) return sign;
  // Subnormal: fraction · 2⁻²⁴. Its leading one becomes the implicit bit.
  const leading = 31 - Math.clz32(fraction);
  return sign | ((leading + 103) << 23) | ((fraction << (23 - leading)) & 0x7fffff);
}

/** 64-bit integers pass through float64, which must not round before float32 does. */
function roundLong(bytes: Uint8Array, into: Float32Array): void {
  const whole = view(BigInt64Array, bytes);
  const halves = view(Int32Array, bytes); // low, high, low, high …
  for (let index = 0; index < whole.length; index++) {
    const high = halves[2 * index + 1] as number;
    const exact = high >= -(2 ** 20) && high < 2 ** 20; // |value| ≤ 2^52: neither product nor sum rounds
    into[index] = exact ? high * 2 ** 32 + ((halves[2 * index] as number) >>> 0) : Number(sticky(whole[index] as bigint));
  }
}

/** Beyond 2^52 keeps the upper bits, and in the lowest of them whether anything below was set. */
function sticky(value: bigint): bigint {
  const magnitude = value < 0n ? -value : value;
  const kept = ((magnitude >> 12n) << 12n) | ((magnitude & 0xfffn) === 0n ? 0n : 0x1000n);
  return value < 0n ? -kept : kept;
}

/** A whole tensor, widened to float32; where it can be read in pieces, only one of them is in memory beside it. */
export async function readFloat32(source: Pick<TensorSource, "dtype" | "read"> & Partial<TensorSource>): Promise<Float32Array> {
  const { bytes: elementBytes } = dataTypes[source.dtype];
  if (isPiecewise(source)) {
    const values = new Float32Array(source.shape.reduce((product, dim) => product * dim, 1));
    let at = 0;
    for await (const piece of chunksOf(source, values.length * elementBytes)) {
      const count = piece.byteLength / elementBytes;
      toFloat32(source.dtype, piece, values.subarray(at, at + count));
      at += count;
    }
    return values;
  }
  const bytes = await source.read();
  const values = new Float32Array(bytes.byteLength / elementBytes);
  toFloat32(source.dtype, bytes.byteOffset % elementBytes === 0 ? bytes : bytes.slice(), values);
  return values;
}

function isPiecewise(source: Pick<TensorSource, "dtype" | "read"> & Partial<TensorSource>): source is TensorSource {
  return source.readInto !== undefined && source.shape !== undefined;
}
