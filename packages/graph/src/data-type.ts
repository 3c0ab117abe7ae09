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
