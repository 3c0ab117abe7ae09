/** Which features of a CLIP tower are wanted: layers, class token, and for pictures of which size. */
import { ConfigError, type ConfigProblem, checkOptions } from "@waggle/nn";
import { type ClipVision, limits } from "./clip-config.ts";
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
  readonly image_size?: number | { readonly height: number; readonly width: number };
}

export interface Selection {
  /** From 0 to num_hidden_layers. */
  readonly layers: readonly number[];
  readonly classToken: "drop" | "keep";
  readonly image_size: { readonly height: number; readonly width: number };
  readonly grid: Grid;
}

export function selectFeatures({ num_hidden_layers, image_size: trained, patch_size }: ClipVision, options: ClipOptions): Selection {
  checkOptions("clip", options, ["layer", "classToken", "image_size"]);
  const { layer = -2, classToken = "drop", image_size = trained } = options;
  const asked = typeof layer === "number" ? [layer] : layer;
  const { height, width } = typeof image_size === "number" ? { height: image_size, width: image_size } : image_size;
  const grid = { rows: Math.floor(height / patch_size), columns: Math.floor(width / patch_size) };
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
  for (const [side, size] of Object.entries({ height, width })) {
    if (Number.isInteger(size) && size >= patch_size && size <= limits.image_size) continue;
    const message = `expected a ${side} from patch_size ${patch_size} to ${limits.image_size} (the limit), got ${size}.`;
    problems.push({ field: "image_size", message });
  }
  if (grid.rows * grid.columns > limits.patches) {
    problems.push({ field: "image_size", message: `${grid.rows * grid.columns} patches are above the limit of ${limits.patches}.` });
  }
  if (problems.length > 0) throw new ConfigError("clip", problems);
  const layers = asked.map((index) => (index < 0 ? num_hidden_layers + 1 + index : index));
  return { layers, classToken, image_size: { height, width }, grid };
}
