import { type DataType, dataTypes } from "@waggle/graph";
import type { WeightToPlace } from "./placement.ts";
import { RuntimeError } from "./runtime-error.ts";
import { elements } from "./tensors.ts";

export function byteLengthOf(dtype: DataType, shape: readonly number[]): number {
  return elements(shape) * dataTypes[dtype].byteLength;
}

/** Reads a weight whole, in its stored type, and checks that it is. */
export async function bytesOf({ name, source, shape }: Pick<WeightToPlace, "name" | "source" | "shape">): Promise<Uint8Array> {
  const bytes = await source.read();
  const expected = byteLengthOf(source.dtype, shape);
  if (bytes.byteLength !== expected) {
    const message = `${name}: ${source.dtype} [${shape.join(", ")}] has ${expected} bytes, its source gave ${bytes.byteLength}.`;
    throw new RuntimeError("weights", message, { name, expected, got: bytes.byteLength });
  }
  return bytes;
}
