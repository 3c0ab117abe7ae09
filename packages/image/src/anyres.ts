/**
 * LLaVA-NeXT's "any resolution": a picture is looked at as a whole, and in tiles of the canvas, out of a list of pinpoints,
 * that suits it best. Two conventions exist. They differ in the order of the two numbers of a pinpoint (so in who wins a tie)
 * and in how the unpadded feature rows are rounded:
 *
 *     llava          (width, height), ⌊x⌋             the authors' code
 *     transformers   (height, width), ⌊round(x, 7)⌋   Hugging Face's
 */
import type { Box, Size } from "./pass.ts";

export interface AnyresGrid {
  readonly convention: "llava" | "transformers";
  readonly pinpoints: readonly (readonly [number, number])[];
  /** Edge of a tile in pixels; every pinpoint is a multiple of it. */
  readonly tile: number;
}

/** How the features of a picture's tiles are merged ("spatial_unpad"). */
export interface AnyresLayout {
  readonly canvas: Size;
  readonly tiles: { readonly columns: number; readonly rows: number };
  /** The block of the canvas' feature grid (tiles.rows · side by tiles.columns · side) that is no padding. */
  readonly kept: { readonly top: number; readonly left: number; readonly rows: number; readonly columns: number };
  /** side² for the whole picture, then the kept rows, each with one newline feature behind it. */
  readonly tokens: number;
}

/** The canvas that keeps most of the picture's pixels, then the one that wastes least, then the first in the list. */
export function bestCanvas(picture: Size, { convention, pinpoints }: AnyresGrid): Size {
  let best = { width: 0, height: 0, kept: -1, wasted: Number.POSITIVE_INFINITY };
  for (const [a, b] of pinpoints) {
    const [width, height] = convention === "llava" ? [a, b] : [b, a];
    const scale = Math.min(width / picture.width, height / picture.height);
    const shown = Math.trunc(picture.width * scale) * Math.trunc(picture.height * scale);
    const kept = Math.min(shown, picture.width * picture.height);
    const wasted = width * height - kept;
    if (kept > best.kept || (kept === best.kept && wasted < best.wasted)) best = { width, height, kept, wasted };
  }
  return { width: best.width, height: best.height };
}

/** Where the picture lies on its canvas: as large as fits, in the middle. */
export function placeOn(canvas: Size, picture: Size): Box {
  const across = canvas.width / picture.width;
  const down = canvas.height / picture.height;
  const width = across < down ? canvas.width : Math.min(Math.ceil(picture.width * down), canvas.width);
  const height = across < down ? Math.min(Math.ceil(picture.height * across), canvas.height) : canvas.height;
  return { width, height, left: Math.floor((canvas.width - width) / 2), top: Math.floor((canvas.height - height) / 2) };
}

/** `side`: features along one edge of a tile (24 for CLIP ViT-L/14 at 336). */
export function anyresLayout(picture: Size, grid: AnyresGrid, side: number): AnyresLayout {
  const canvas = bestCanvas(picture, grid);
  const tiles = { columns: canvas.width / grid.tile, rows: canvas.height / grid.tile };
  const all = { rows: tiles.rows * side, columns: tiles.columns * side };
  const whole = (x: number): number => Math.trunc(grid.convention === "llava" ? x : Number(x.toFixed(7)));
  let [top, left] = [0, 0];
  if (picture.width / picture.height > all.columns / all.rows) {
    top = Math.floor((all.rows - whole(picture.height * (all.columns / picture.width))) / 2);
  } else {
    left = Math.floor((all.columns - whole(picture.width * (all.rows / picture.height))) / 2);
  }
  const kept = { top, left, rows: all.rows - 2 * top, columns: all.columns - 2 * left };
  return { canvas, tiles, kept, tokens: side * side + kept.rows * (kept.columns + 1) };
}
