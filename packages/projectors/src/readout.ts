/** `depth` linear maps with SiLU between them, in a Sequential: keys 0, 2, 4 … Honeybee's `build_mlp`. */
import { ops } from "@waggle/graph";
import { Linear, Sequential } from "@waggle/nn";

export function readout(width: number, out: number, depth: number): Sequential {
  const maps = Array.from({ length: depth }, (_, i) => new Linear(i === 0 ? width : out, out));
  return new Sequential(...maps.flatMap((map, i) => (i === 0 ? [map] : [ops.silu, map])));
}
