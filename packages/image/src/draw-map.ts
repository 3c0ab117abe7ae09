/**
 * Pictures of what a model looked at: a veil that leaves the attended cells of a grid clear, and dots where points were
 * sampled, over the picture as the vision encoder saw it.
 */
import sharp from "sharp";
import { z } from "zod";
import { checked } from "./checked.ts";
import { ImageError } from "./image-error.ts";
import type { Picture } from "./picture.ts";

export type PictureMap =
  /** Weights ≥ 0 of the cells of a grid, row by row; the largest is drawn clear, 0 darkest. */
  | { readonly kind: "cells"; readonly rows: number; readonly columns: number; readonly weights: ArrayLike<number> }
  /** Places in 0 … 1 from the left and the top; those outside are not drawn. The larger the weight, the larger the dot. */
  | { readonly kind: "points"; readonly places: readonly { readonly x: number; readonly y: number; readonly weight: number }[] };

export interface DrawOptions {
  /** Side of one drawing in pixels. Default 224. */
  readonly size?: number | undefined;
  /** Drawings in a row of the sheet. Default: as many as make it square. */
  readonly columns?: number | undefined;
}

const options = z.strictObject({ size: z.int().min(16).max(4096).optional(), columns: z.int().min(1).max(1024).optional() });
const GAP = 4;

/** One PNG with a drawing per map, in rows from the top left. */
export async function drawMaps(picture: Picture, maps: readonly PictureMap[], given: DrawOptions = {}): Promise<Uint8Array> {
  const { size = 224, columns = Math.ceil(Math.sqrt(maps.length)) } = checked(
    options,
    given,
    "bad-option",
    "drawMaps",
    Object.keys(options.shape),
  );
  if (maps.length === 0) throw new ImageError("bad-option", "drawMaps: expected at least one map.");
  const raw = { width: picture.width, height: picture.height, channels: 3 } as const;
  const tile = await sharp(Buffer.from(picture.data), { raw }).resize(size, size, { fit: "fill", kernel: "nearest" }).png().toBuffer();
  const rows = Math.ceil(maps.length / columns);
  const step = size + GAP;
  const layers = maps.flatMap((map, i) => {
    const [left, top] = [GAP + (i % columns) * step, GAP + Math.floor(i / columns) * step];
    return [
      { input: tile, left, top },
      { input: Buffer.from(svg(map, size)), left, top },
    ];
  });
  const sheet = { width: GAP + columns * step, height: GAP + rows * step, channels: 3, background: { r: 24, g: 24, b: 24 } } as const;
  return new Uint8Array(await sharp({ create: sheet }).composite(layers).png().toBuffer());
}

function svg(map: PictureMap, size: number): string {
  const drawn = map.kind === "cells" ? veil(map, size) : dots(map, size);
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${size}" height="${size}">${drawn}</svg>`;
}

function veil({ rows, columns, weights }: PictureMap & { kind: "cells" }, size: number): string {
  const most = Math.max(...Array.from({ length: rows * columns }, (_, i) => weights[i] ?? 0), Number.MIN_VALUE);
  const [width, height] = [size / columns, size / rows];
  return Array.from({ length: rows * columns }, (_, i) => {
    const opacity = (0.8 * (1 - Math.max(weights[i] ?? 0, 0) / most)).toFixed(3);
    const [x, y] = [(i % columns) * width, Math.floor(i / columns) * height];
    return `<rect x="${x.toFixed(2)}" y="${y.toFixed(2)}" width="${width.toFixed(2)}" height="${height.toFixed(2)}" fill-opacity="${opacity}"/>`;
  }).join("");
}

function dots({ places }: PictureMap & { kind: "points" }, size: number): string {
  const most = Math.max(...places.map(({ weight }) => weight), Number.MIN_VALUE);
  const seen = places.filter(({ x, y }) => x >= 0 && x <= 1 && y >= 0 && y <= 1);
  const circles = seen.map(({ x, y, weight }) => {
    const radius = size * (0.006 + (0.03 * Math.max(weight, 0)) / most);
    return `<circle cx="${(x * size).toFixed(2)}" cy="${(y * size).toFixed(2)}" r="${radius.toFixed(2)}"/>`;
  });
  return `<g fill="#ffd400" fill-opacity="0.75" stroke="#000" stroke-width="${(size / 300).toFixed(2)}">${circles.join("")}</g>`;
}
