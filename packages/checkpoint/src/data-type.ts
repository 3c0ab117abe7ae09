/**
 * Element types of stored tensors, the same that @waggle/graph computes with: our name, the name safetensors uses, and the bytes of one element.
 * The order is the reference writer's: it sorts a file by element size from the largest down, and within
 * one size in its own order of types, so that every tensor lies aligned to its elements.
 */
export type DataType = "int64" | "float64" | "float32" | "int32" | "bfloat16" | "float16" | "int8" | "uint8" | "bool";

interface DataTypeInfo {
  readonly safetensors: string;
  readonly bytes: 1 | 2 | 4 | 8;
}

/** Total: a new data type without its storage does not compile. */
export const dataTypes: { readonly [Type in DataType]: DataTypeInfo } = {
  int64: { safetensors: "I64", bytes: 8 },
  float64: { safetensors: "F64", bytes: 8 },
  float32: { safetensors: "F32", bytes: 4 },
  int32: { safetensors: "I32", bytes: 4 },
  bfloat16: { safetensors: "BF16", bytes: 2 },
  float16: { safetensors: "F16", bytes: 2 },
  int8: { safetensors: "I8", bytes: 1 },
  uint8: { safetensors: "U8", bytes: 1 },
  bool: { safetensors: "BOOL", bytes: 1 },
};

const bySafetensorsName: ReadonlyMap<string, DataType> = new Map(
  (Object.keys(dataTypes) as DataType[]).map((type) => [dataTypes[type].safetensors, type]),
);

export const safetensorsNames: readonly string[] = [...bySafetensorsName.keys()];

/** The data type that a safetensors header calls `name`. */
export function dataTypeOf(name: string): DataType | undefined {
  return bySafetensorsName.get(name);
}

/** Bytes of a dense tensor, or `undefined` where the number is beyond 2^53 and cannot be exact. */
export function byteLengthOf(dtype: DataType, shape: readonly number[]): number | undefined {
  if (shape.includes(0)) return 0;
  let bytes: number = dataTypes[dtype].bytes;
  for (const dim of shape) bytes *= dim;
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}
