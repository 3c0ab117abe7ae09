import ndarray, { type NdArray } from "ndarray";
import { ImageError } from "./image-error.ts";
import type { Size } from "./pass.ts";

/** A decoded picture: three bytes per pixel, rows top to bottom. */
export interface Picture extends Size {
  readonly data: Uint8Array;
  /** `data` seen as [height, width, 3]. */
  readonly pixels: NdArray<Uint8Array>;
}

/** A picture from RGB bytes that are already in memory. */
export function picture(width: number, height: number, data: Uint8Array): Picture {
  const whole = [width, height].every((side) => Number.isInteger(side) && side > 0);
  if (!whole || data.length !== width * height * 3) {
    throw new ImageError(
      "bad-picture",
      `A picture of ${width}×${height} needs whole sides ≥ 1 and width · height · 3 bytes; got ${data.length} bytes.`,
      { width, height, bytes: data.length },
    );
  }
  return { width, height, data, pixels: ndarray(data, [height, width, 3]) };
}
