/**
 * A step says what happens to a picture: it lies on a canvas, the canvas is resized, a window is cut out. A pass is the
 * same step worked out for one picture size, with the tables that the resampling thread needs. Only the rows and columns that
 * the window keeps are ever computed.
 */
import { type FilterName, isVerticalFirst, tapsOf } from "./filters.ts";
import { ImageError } from "./image-error.ts";

export interface Size {
  readonly width: number;
  readonly height: number;
}

export interface Box extends Size {
  readonly left: number;
  readonly top: number;
}

export interface Step {
  /** The picture lies in the middle of a canvas of this size and colour (an odd pixel goes below or right). Left out: no canvas. */
  readonly canvas?: Size & { readonly colour: readonly [number, number, number] };
  /** Left out: not resized. */
  readonly resize?: Size & { readonly filter: FilterName };
  /** The part of the resized picture that is the result, black where it reaches beyond it. Left out: all of it. */
  readonly window?: Box;
}

/** Per output position: [first, count] into the inputs, and that many weights of 22 fractional bits, `taps` apart. */
export interface Taps {
  readonly spans: Int32Array;
  readonly weights: Int32Array;
  readonly taps: number;
}

export interface Pass {
  readonly source: Size;
  /** `left` and `top`: where the picture lies on it. */
  readonly canvas: Box & { readonly colour: readonly [number, number, number] };
  /** Rows of the canvas that the vertical taps read; their spans count from `firstRow`. No rows: nothing of the picture is in the window. */
  readonly firstRow: number;
  readonly rows: number;
  readonly horizontal: Taps;
  readonly vertical: Taps;
  readonly verticalFirst: boolean;
  readonly output: Size;
  /** Where the resampled part lies in the output. */
  readonly window: Box;
}

/** The largest block of memory that one picture may take on its way, in pixels: 1 GiB of RGB. */
const MAX_PIXELS_BETWEEN = Math.floor(2 ** 30 / 3);

export function outputOf(step: Step, source: Size): Size {
  const { width, height } = step.window ?? step.resize ?? step.canvas ?? source;
  return { width, height };
}

export function compile(step: Step, source: Size): Pass {
  const canvas = { ...source, colour: [0, 0, 0] as const, ...step.canvas };
  const resized = step.resize ?? { width: canvas.width, height: canvas.height, filter: "nearest" as const };
  const output = outputOf(step, source);
  const { left, top } = step.window ?? { left: 0, top: 0 };
  checkMemory(output.width * output.height, source, resized);
  const x = overlap(left, output.width, resized.width);
  const y = overlap(top, output.height, resized.height);
  const count = x.count === 0 ? 0 : y.count;
  const horizontal = tapsOf(resized.filter, canvas.width, resized.width, x.first, count === 0 ? 0 : x.count);
  const vertical = tapsOf(resized.filter, canvas.height, resized.height, y.first, count);
  const firstRow = vertical.spans[0] ?? 0;
  const lastRow = count === 0 ? 0 : (vertical.spans[2 * count - 2] ?? 0) + (vertical.spans[2 * count - 1] ?? 0);
  for (let i = 0; i < count; i++) vertical.spans[2 * i] = (vertical.spans[2 * i] ?? 0) - firstRow;
  const rows = lastRow - firstRow;
  const verticalFirst = isVerticalFirst(canvas, resized);
  checkMemory(rows * (verticalFirst ? canvas.width : x.count), source, resized);
  return {
    source: { width: source.width, height: source.height },
    canvas: {
      ...canvas,
      left: Math.floor((canvas.width - source.width) / 2),
      top: Math.floor((canvas.height - source.height) / 2),
    },
    firstRow,
    rows,
    horizontal,
    vertical,
    verticalFirst,
    output,
    window: { left: x.first - left, top: y.first - top, width: x.count, height: count },
  };
}

/** Positions `start` … `start + length - 1` of a window, as far as they lie in an axis of `size`. */
function overlap(start: number, length: number, size: number): { first: number; count: number } {
  const first = Math.max(0, start);
  return { first, count: Math.max(0, Math.min(size, start + length) - first) };
}

function checkMemory(pixels: number, source: Size, resized: Size): void {
  if (pixels <= MAX_PIXELS_BETWEEN) return;
  throw new ImageError(
    "too-many-pixels",
    `Resizing a picture of ${source.width}×${source.height} to ${resized.width}×${resized.height} takes ${pixels} pixels at once, ` +
      `more than ${MAX_PIXELS_BETWEEN}. Crop the picture first, or use a processor with do_center_crop.`,
    { pixels, maxPixels: MAX_PIXELS_BETWEEN, width: source.width, height: source.height },
  );
}
