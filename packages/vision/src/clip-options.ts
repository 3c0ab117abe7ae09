/** Which features of a CLIP tower are wanted: layers, class token, and for pictures of which size. */
import { ConfigError, type ConfigProblem, checkOptions } from "@waggle/nn";
import type { ClipVision } from "./clip-config.ts";
import { type PictureSize, type PictureSizeOption, patchGrid, pictureProblems, pictureSize } from "./picture-size.ts";
import type { Grid } from "./vision-encoder.ts";

export interface ClipOptions {
  /**
   * An index into the hidden states: 0 is what enters the first layer, k what leaves layer k, −1 what leaves the last.
   * Default −2. A list puts the features of several layers side by side.
   */
  readonly layer?: number | readonly number[];
  /** Default "drop". */
  readonly classToken?: "drop" | "keep";
  /** For pictures of another size than the tower was trained with: the positions are interpolated. */
  readonly image_size?: PictureSizeOption;
}

export interface Selection {
  /** From 0 to num_hidden_layers. */
  readonly layers: readonly number[];
  readonly classToken: "drop" | "keep";
  readonly image_size: PictureSize;
  readonly grid: Grid;
}

export function selectFeatures({ num_hidden_layers, image_size: trained, patch_size }: ClipVision, options: ClipOptions): Selection {
  checkOptions("clip", options, ["layer", "classToken", "image_size"]);
  const { layer = -2, classToken = "drop", image_size = trained } = options;
  const asked = typeof layer === "number" ? [layer] : layer;
  const size = pictureSize(image_size);
  const problems: ConfigProblem[] = [];
  if (asked.length === 0) problems.push({ field: "layer", message: "expected at least one layer, got an empty list." });
  for (const index of asked) {
    if (Number.isInteger(index) && index >= -num_hidden_layers - 1 && index <= num_hidden_layers) continue;
    const range = `${-num_hidden_layers - 1} to ${num_hidden_layers}`;
    problems.push({ field: "layer", message: `expected a whole number from ${range} (${num_hidden_layers} layers), got ${index}.` });
  }
  if (classToken !== "drop" && classToken !== "keep") {
    problems.push({ field: "classToken", message: `expected "drop" or "keep", got ${JSON.stringify(classToken)}.` });
  }
  problems.push(...pictureProblems(size, patch_size));
  if (problems.length > 0) throw new ConfigError("clip", problems);
  const layers = asked.map((index) => (index < 0 ? num_hidden_layers + 1 + index : index));
  return { layers, classToken, image_size: size, grid: patchGrid(size, patch_size) };
}
