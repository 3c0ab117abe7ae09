/** The size of the pictures that an encoder takes, and the grid of patches that they fall into. */
import { type Dim, ShapeError, shapeOf, type Value } from "@waggle/graph";
import type { ConfigProblem } from "@waggle/nn";
import { limits } from "./config-fields.ts";
import type { Grid } from "./vision-encoder.ts";

export interface PictureSize {
  readonly height: number;
  readonly width: number;
}

/** One number for both sides, or each side. */
export type PictureSizeOption = number | PictureSize;

export function pictureSize(size: PictureSizeOption): PictureSize {
  return typeof size === "number" ? { height: size, width: size } : size;
}

/** What a patch does not fill is cut off. */
export function patchGrid({ height, width }: PictureSize, patch_size: number): Grid {
  return { rows: Math.floor(height / patch_size), columns: Math.floor(width / patch_size) };
}

export function pictureProblems(size: PictureSize, patch_size: number): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const { height, width } = size;
  for (const [side, length] of Object.entries({ height, width })) {
    if (Number.isInteger(length) && length >= patch_size && length <= limits.image_size) continue;
    const message = `expected a ${side} from patch_size ${patch_size} to ${limits.image_size} (the limit), got ${length}.`;
    problems.push({ field: "image_size", message });
  }
  const { rows, columns } = patchGrid(size, patch_size);
  if (rows * columns > limits.patches) {
    problems.push({ field: "image_size", message: `${rows * columns} patches are above the limit of ${limits.patches}.` });
  }
  return problems;
}

/** The batch of [B, 3, H, W] pictures, when they have the size that the encoder was built for. */
export function batchOfPictures(encoder: string, pixel_values: Value, expected: PictureSize): Dim {
  const [B, , height, width] = shapeOf(pixel_values, "B channels H W");
  if (height !== expected.height || width !== expected.width) {
    throw new ShapeError(
      `${encoder}: expected pixel_values of ${expected.height}×${expected.width}, got ${height}×${width}. ` +
        "Resize the pictures, or build with the option image_size for pictures of another size.",
    );
  }
  return B;
}
