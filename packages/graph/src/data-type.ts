/** Element types of tensors: their widths, their ONNX codes and the typed arrays that hold them. */

export type DataType = "float32" | "float16" | "bfloat16" | "float64" | "int64" | "int32" | "uint8" | "int8" | "bool";

export type TypedArray = Float32Array | Float64Array | BigInt64Array | Int32Array | Uint8Array | Int8Array | Uint16Array;

/** Bytes of one element, and the code of TensorProto.DataType. */
export const dataTypes: { readonly [D in DataType]: { readonly byteLength: number; readonly onnx: number } } = {
  float32: { byteLength: 4, onnx: 1 },
  uint8: { byteLength: 1, onnx: 2 },
  int8: { byteLength: 1, onnx: 3 },
  int32: { byteLength: 4, onnx: 6 },
  int64: { byteLength: 8, onnx: 7 },
  bool: { byteLength: 1, onnx: 9 },
  float16: { byteLength: 2, onnx: 10 },
  float64: { byteLength: 8, onnx: 11 },
  bfloat16: { byteLength: 2, onnx: 16 },
};

export function isFloat(dtype: DataType): boolean {
  return dtype === "float32" || dtype === "float16" || dtype === "bfloat16" || dtype === "float64";
}

/** An array of `length` elements of `dtype`; 16-bit floats are held as their bits. */
export function arrayOf(dtype: DataType, length: number): TypedArray {
  switch (dtype) {
    case "float32":
      return new Float32Array(length);
    case "float64":
      return new Float64Array(length);
    case "int64":
      return new BigInt64Array(length);
    case "int32":
      return new Int32Array(length);
    case "int8":
      return new Int8Array(length);
    case "uint8":
    case "bool":
      return new Uint8Array(length);
    case "float16":
    case "bfloat16":
      return new Uint16Array(length);
    default:
      return dtype satisfies never;
  }
}

/** A number as the bits of a float16, rounded to nearest, ties to even. */
export function float16Bits(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  if (Number.isNaN(value)) return 0x7e00;
  if (size >= 65520) return sign | 0x7c00; // half way from 65504, the largest, to the next power of two
  const exponent = Math.max(Math.floor(Math.log2(size)), -14); // below 2^-14 the spacing stays 2^-24
  const steps = roundToEven(size * 2 ** (10 - exponent)); // 1024 … 2048 steps of a normal number, fewer of a small one
  return sign | (size === 0 ? 0 : (exponent + 14) * 1024 + steps);
}

/** A number as the bits of a bfloat16, rounded to nearest, ties to even. */
export function bfloat16Bits(value: number): number {
  const [bits = 0] = new Uint32Array(Float32Array.of(value).buffer);
  if (Number.isNaN(value)) return 0x7fc0;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

function roundToEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
}
