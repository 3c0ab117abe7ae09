import { createHash } from "node:crypto";
import type { DataType, TypedArray, WeightSource } from "@waggle/graph";

/** Weights that are computed when they are read, rather than stored in a file. `fingerprint` must name the content. */
export function computedSource(
  dtype: DataType,
  shape: readonly number[],
  fingerprint: string,
  compute: () => Promise<TypedArray>,
): WeightSource {
  const identity = createHash("sha256")
    .update([dtype, shape.join("x"), fingerprint].join("\0"))
    .digest("hex");
  const expected = shape.reduce((product, size) => product * size, 1);
  const read = async (): Promise<Uint8Array> => {
    const { buffer, byteOffset, byteLength, length } = await compute();
    if (length !== expected)
      throw new RangeError(`computedSource ${fingerprint}: expected ${expected} values for [${shape}], got ${length}.`);
    return new Uint8Array(buffer, byteOffset, byteLength);
  };
  return { dtype, shape: [...shape], fingerprint: identity, read };
}
