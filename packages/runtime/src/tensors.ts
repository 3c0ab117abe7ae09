/** Tensors as plain data, on their way to the executor and back. */
import type { DataType } from "@waggle/graph";
import { Tensor } from "onnxruntime-common";
import type { PlainTensor, TensorData, TensorType } from "./protocol.ts";
import { RuntimeError } from "./runtime-error.ts";

const TYPES: ReadonlySet<string> = new Set<TensorType>([
  "float32",
  "float64",
  "float16",
  "int64",
  "uint64",
  "int32",
  "uint32",
  "int16",
  "uint16",
  "int8",
  "uint8",
  "bool",
]);

export function isTensorType(type: string): type is TensorType {
  return TYPES.has(type);
}

export function checkedType(type: DataType | TensorType, where: string): TensorType {
  if (isTensorType(type)) return type;
  const message = `${where}: onnxruntime-node has no ${type} tensors. It has: ${[...TYPES].join(", ")}.`;
  throw new RuntimeError("options", message, { type });
}

export function toPlain({ type, dims, data }: Tensor, where: string): PlainTensor {
  return { type: checkedType(type as TensorType, where), dims, data: data as TensorData };
}

export function toTensor({ type, dims, data }: PlainTensor): Tensor {
  return new Tensor(type, data, dims);
}

/**
 * A copy that may be handed to another thread. Posting the original would copy the whole buffer under a view,
 * and handing that over would take it away from its owner.
 */
export function detachable(tensor: PlainTensor): PlainTensor & { readonly buffer: ArrayBuffer } {
  const data = tensor.data.slice();
  return { ...tensor, data, buffer: data.buffer as ArrayBuffer };
}

export function elements(dims: readonly number[]): number {
  return dims.reduce((product, dim) => product * dim, 1);
}
