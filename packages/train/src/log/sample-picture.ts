/** A sample's picture, small enough for a log. */
import { decodeImage, image } from "@waggle/image";
import sharp from "sharp";

export interface SamplePicture {
  readonly bytes: Uint8Array;
  readonly type: "image/png" | "image/jpeg";
  readonly width: number;
  readonly height: number;
}

/** Longest side, in pixels. */
const LARGEST = 448;
/** Drawings below this side stay exact. */
const EXACT = 128;

/** Decoded as the model's pictures are; null where it cannot be: a run does not end because a log has nothing to show. */
export async function samplePicture(file: Uint8Array): Promise<SamplePicture | null> {
  try {
    const { data, width, height } = await decodeImage(image(file));
    const raw = sharp(data, { raw: { width, height, channels: 3 } });
    const exact = Math.max(width, height) <= EXACT;
    const sized = raw.resize({ width: LARGEST, height: LARGEST, fit: "inside", withoutEnlargement: true });
    const done = await (exact ? sized.png() : sized.jpeg({ quality: 85 })).toBuffer({ resolveWithObject: true });
    return { bytes: done.data, type: exact ? "image/png" : "image/jpeg", width: done.info.width, height: done.info.height };
  } catch {
    return null;
  }
}
