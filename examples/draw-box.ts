/** A picture with a box on it, for looking at: small pictures are enlarged. */
import type { BoundingBox } from "@waggle/data";
import sharp from "sharp";

/** Writes the picture in `file` as `out` (PNG); the box's edges are shares of width and height. */
export async function drawBox(file: string, [x1, y1, x2, y2]: BoundingBox, out: string): Promise<void> {
  const { data, info } = await sharp(file).autoOrient().png().toBuffer({ resolveWithObject: true });
  const scale = Math.max(1, Math.floor(384 / Math.max(info.width, info.height)));
  const [width, height] = [info.width * scale, info.height * scale];
  const place = `x="${x1 * width}" y="${y1 * height}" width="${(x2 - x1) * width}" height="${(y2 - y1) * height}"`;
  const svg = `<svg width="${width}" height="${height}"><rect ${place} fill="none" stroke="#00e5ff" stroke-width="3"/></svg>`;
  const large = await sharp(data).resize(width, height, { kernel: "nearest" }).png().toBuffer();
  await sharp(large)
    .composite([{ input: Buffer.from(svg) }])
    .png()
    .toFile(out);
}
