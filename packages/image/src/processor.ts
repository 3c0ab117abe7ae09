/**
 * From pictures to a vision encoder's pixel values, with the numbers of the Pillow-based reference processors:
 *
 *     plain    resize → crop                                         CLIP, llava-hf; without crop and to a fixed size: Honeybee, BLIP, SigLIP
 *     pad      onto a square of the mean colour → resize → crop      LLaVA
 *     anyres   the whole picture, then the tiles of its canvas, each resized and cropped    LLaVA-NeXT
 *
 * then (byte · rescale_factor − mean) / std in float32, planes [3, H, W].
 */
import ndarray, { type NdArray } from "ndarray";
import { z } from "zod";
import { type AnyresGrid, bestCanvas, placeOn } from "./anyres.ts";
import { checked } from "./checked.ts";
import type { FilterName } from "./filters.ts";
import { ImageError } from "./image-error.ts";
import { type Box, compile, outputOf, type Pass, type Size, type Step } from "./pass.ts";
import type { Picture } from "./picture.ts";
import { resample } from "./resampler.ts";
import { centreCrop, type ResizeRule, resizedSize } from "./sizes.ts";

export type Channels = readonly [number, number, number];

export interface ProcessorSettings {
  readonly resize: ResizeRule | null;
  readonly crop: Size | null;
  readonly filter: FilterName;
  readonly aspect:
    | { readonly kind: "plain" }
    | { readonly kind: "pad" }
    | { readonly kind: "anyres"; readonly grid: AnyresGrid; readonly base: Size };
  readonly rescale: number | null;
  readonly normalise: { readonly mean: Channels; readonly std: Channels } | null;
  /** The canvas colour of `pad`: ⌊255 · image_mean⌋. */
  readonly background: Channels;
}

export interface ProcessedPictures {
  readonly pixel_values: Float32Array;
  readonly shape: readonly [number, 3, number, number];
  /** `pixel_values` seen as [n, 3, height, width]. */
  readonly pixels: NdArray<Float32Array>;
  /** Rows of `pixel_values` per picture: 1, or with any-resolution 1 + tiles. */
  readonly tiles: readonly number[];
  /** [height, width] of every picture before it was processed (transformers' `image_sizes`). */
  readonly image_sizes: readonly (readonly [number, number])[];
}

const processOptions = z.strictObject({ signal: z.instanceof(AbortSignal).optional() });

export class ImageProcessor {
  readonly settings: ProcessorSettings;
  /** Pass it to `anyresLayout`; null for processors that make one result per picture. */
  readonly anyres: AnyresGrid | null;
  readonly #table: Float32Array;

  constructor(settings: ProcessorSettings) {
    this.settings = settings;
    this.anyres = settings.aspect.kind === "anyres" ? settings.aspect.grid : null;
    this.#table = valueTable(settings);
  }

  /** Height and width of every result, or null if they depend on the picture. */
  get output(): Size | null {
    const { crop, resize } = this.settings;
    return crop ?? (resize !== null && "height" in resize ? resize : null);
  }

  async process(pictures: readonly Picture[], options: { readonly signal?: AbortSignal } = {}): Promise<ProcessedPictures> {
    const { signal } = checked(processOptions, options, "bad-option", "process", Object.keys(processOptions.shape));
    signal?.throwIfAborted();
    const plans = pictures.map((picture) => stepsOf(this.settings, picture).map((steps) => passesOf(steps, picture)));
    const { width, height } = commonOutput(plans, pictures);
    const parts = await Promise.all(pictures.map((picture, i) => resample(picture, plans[i] ?? [], this.#table, signal)));
    const pixel_values = joined(parts);
    const tiles = plans.map((plan) => plan.length);
    const shape = [tiles.reduce((sum, n) => sum + n, 0), 3, height, width] as const;
    return {
      pixel_values,
      shape,
      pixels: ndarray(pixel_values, [...shape]),
      tiles,
      image_sizes: pictures.map((picture) => [picture.height, picture.width] as const),
    };
  }
}

/** What happens to a picture of this size: one list of steps per result. */
export function stepsOf(settings: ProcessorSettings, picture: Size): (readonly [Step, ...Step[]])[] {
  const { aspect, filter, background } = settings;
  if (aspect.kind === "anyres") return anyresSteps(settings, aspect.grid, aspect.base, picture);
  if (aspect.kind === "plain" || picture.width === picture.height) return [[plainStep(settings, picture)]];
  const side = Math.max(picture.width, picture.height);
  const canvas = { width: side, height: side, colour: background };
  return [[{ canvas, ...plainStep({ ...settings, filter }, canvas) }]];
}

function plainStep({ resize, crop, filter }: ProcessorSettings, picture: Size): Step {
  const resized = resize === null ? picture : resizedSize(resize, picture);
  return {
    ...(resize === null ? {} : { resize: { ...resized, filter } }),
    ...(crop === null ? {} : { window: centreCrop(crop, resized) }),
  };
}

function anyresSteps(
  settings: ProcessorSettings,
  { convention, pinpoints, tile }: AnyresGrid,
  base: Size,
  picture: Size,
): (readonly [Step, ...Step[]])[] {
  const filter = convention === "llava" ? "bicubic" : settings.filter; // the authors' code resizes with Pillow's default here
  const canvas = bestCanvas(picture, { convention, pinpoints, tile });
  const placed = placeOn(canvas, picture);
  const tiles: Step[] = [];
  for (let y = 0; y < canvas.height; y += tile) {
    for (let x = 0; x < canvas.width; x += tile) {
      tiles.push({ resize: { width: placed.width, height: placed.height, filter }, window: tileAt(x, y, tile, placed) });
    }
  }
  const finished = (step: Step): readonly [Step, ...Step[]] => {
    const { width, height } = outputOf(step, picture);
    const last = plainStep(settings, { width, height });
    const changes =
      !sameSize(last.resize ?? { width, height }, { width, height }) || !sameSize(outputOf(last, { width, height }), { width, height });
    return changes ? [step, last] : [step];
  };
  return [{ resize: { ...base, filter } }, ...tiles].map(finished);
}

function tileAt(x: number, y: number, tile: number, placed: Box): Box {
  return { left: x - placed.left, top: y - placed.top, width: tile, height: tile };
}

function sameSize(a: Size, b: Size): boolean {
  return a.width === b.width && a.height === b.height;
}

function passesOf([first, ...rest]: readonly [Step, ...Step[]], picture: Size): readonly [Pass, ...Pass[]] {
  let source = outputOf(first, picture);
  const later = rest.map((step) => {
    const pass = compile(step, source);
    source = pass.output;
    return pass;
  });
  return [compile(first, picture), ...later];
}

function commonOutput(plans: readonly (readonly (readonly Pass[])[])[], pictures: readonly Picture[]): Size {
  const sizes = plans.map((plan) => plan[0]?.at(-1)?.output ?? { width: 0, height: 0 });
  const [first] = sizes;
  if (first === undefined) {
    throw new ImageError("bad-picture", "process() got no picture. Pass at least one.", { pictures: 0 });
  }
  const odd = sizes.findIndex((size) => !sameSize(size, first));
  if (odd === -1) return first;
  const show = (i: number, size: Size | undefined): string =>
    `picture ${i} (${pictures[i]?.width}×${pictures[i]?.height}) → ${size?.width}×${size?.height}`;
  throw new ImageError(
    "uneven-sizes",
    `Without a crop these pictures come out at different sizes and cannot be one batch: ${show(0, first)}, ${show(odd, sizes[odd])}. ` +
      "Process them one by one, or use a processor with do_center_crop or a fixed { height, width }.",
    { sizes },
  );
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const [only] = parts;
  if (only !== undefined && parts.length === 1) return only;
  const all = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** The value of every byte per channel, with the reference's float32 roundings. */
function valueTable({ rescale, normalise }: ProcessorSettings): Float32Array {
  const table = new Float32Array(3 * 256);
  for (let channel = 0; channel < 3; channel++) {
    const mean = Math.fround(normalise?.mean[channel] ?? 0);
    const std = Math.fround(normalise?.std[channel] ?? 1);
    for (let byte = 0; byte < 256; byte++) {
      const rescaled = Math.fround(rescale === null ? byte : byte * rescale);
      table[channel * 256 + byte] = Math.fround(rescaled - mean) / std;
    }
  }
  return table;
}
