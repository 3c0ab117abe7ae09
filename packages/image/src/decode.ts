/**
 * Bytes of an image file → RGB bytes, equal to Pillow's `convert("RGB")`: alpha is dropped and not blended, colour profiles
 * and gamma are not applied, 16-bit samples give their high byte, CMYK goes through the plain formula. By default the picture is
 * turned by its EXIF orientation, as Hugging Face's loader does.
 */
import { setImmediate } from "node:timers/promises";
import sharp, { type Metadata, type Sharp } from "sharp";
import { z } from "zod";
import { readBytes } from "./bytes.ts";
import { checked } from "./checked.ts";
import { decodable, type ImageFormat, recognise } from "./format.ts";
import { ImageError } from "./image-error.ts";
import { describe, type ImageInput, image } from "./image-input.ts";
import { type Picture, picture } from "./picture.ts";
import { untilAborted } from "./until-aborted.ts";

export interface DecodeOptions {
  /** Most pixels, by the file's header, before anything is decoded. Default 89,478,485, where Pillow begins to warn. */
  readonly maxPixels?: number;
  /** Most bytes of the file. Default 64 MiB. */
  readonly maxBytes?: number;
  /** Time for a download. Default 30,000. */
  readonly timeoutMs?: number;
  /** Turn the picture by its EXIF orientation. Default true; the authors' code of LLaVA, Honeybee and MiniGPT-4 does not. */
  readonly exif?: boolean;
  /** Download from addresses of private networks and this machine too. Default false. */
  readonly allowPrivateAddresses?: boolean;
  readonly signal?: AbortSignal;
}

const count = z.int("expected a whole number ≥ 1").min(1, "expected a whole number ≥ 1");
const decodeOptions = z.strictObject({
  maxPixels: count.default(89_478_485),
  maxBytes: count.default(64 * 1024 * 1024),
  timeoutMs: count.max(2 ** 31 - 1).default(30_000),
  exif: z.boolean().default(true),
  allowPrivateAddresses: z.boolean().default(false),
  signal: z.instanceof(AbortSignal).optional(),
});

export async function decodeImage(input: ImageInput, options: DecodeOptions = {}): Promise<Picture> {
  const settings = checked(decodeOptions, options, "bad-option", "decodeImage", Object.keys(decodeOptions.shape));
  const { signal } = settings;
  signal?.throwIfAborted();
  return untilAborted(decode(input, settings), signal);
}

async function decode(input: ImageInput, settings: z.output<typeof decodeOptions>): Promise<Picture> {
  const { source } = image(input?.source);
  const bytes = await readBytes(source, settings);
  const where = describe(source);
  const format = formatOf(bytes, where);
  const decoder = sharp(bytes, { autoOrient: settings.exif, failOn: "error", ignoreIcc: true, limitInputPixels: false });
  const header = await metadata(decoder, format, where);
  checkHeader(header, where, settings.maxPixels);
  settings.signal?.throwIfAborted();
  try {
    return header.space === "cmyk" ? await decodeCmyk(decoder) : await decodeRgb(decoder);
  } catch (cause) {
    throw corrupt(where, format, cause);
  }
}

function formatOf(bytes: Uint8Array, where: string): ImageFormat {
  if (bytes.byteLength === 0) throw new ImageError("empty", `${where}: the file is empty.`, { bytes: 0 });
  const recognised = recognise(bytes);
  if (recognised.format !== null) return recognised.format;
  throw new ImageError(
    "unsupported-format",
    `${where}: expected a picture (${decodable.join(", ")}), found ${recognised.looksLike}. ${recognised.cure}`,
    { found: recognised.looksLike, supported: decodable },
  );
}

/** The header only. What the decoder takes the file for must be what its first bytes say. */
async function metadata(decoder: Sharp, format: ImageFormat, where: string): Promise<Metadata> {
  const header = await decoder.metadata().catch((cause: unknown) => {
    throw corrupt(where, format, cause);
  });
  if (header.format === (format === "avif" ? "heif" : format)) return header;
  throw new ImageError("unsupported-format", `${where}: begins like ${format}, but is ${header.format}.`, {
    found: header.format,
    supported: decodable,
  });
}

function checkHeader({ width, height, depth, space }: Metadata, where: string, maxPixels: number): void {
  if (width * height > maxPixels) {
    throw new ImageError(
      "too-many-pixels",
      `${where}: ${width}×${height} is ${width * height} pixels, more than ${maxPixels}. Pass a larger maxPixels if that is intended.`,
      { width, height, pixels: width * height, maxPixels },
    );
  }
  if (depth === "uchar" || (depth === "ushort" && space !== "cmyk")) return;
  throw new ImageError("unsupported-format", `${where}: expected samples of 8 or 16 bits, found ${depth} (${space}). Convert it to PNG.`, {
    depth,
    space,
  });
}

async function decodeRgb(decoder: Sharp): Promise<Picture> {
  const { data, info } = await decoder.removeAlpha().toColourspace("srgb").raw().toBuffer({ resolveWithObject: true });
  return picture(info.width, info.height, data);
}

async function decodeCmyk(decoder: Sharp): Promise<Picture> {
  const inks = decoder.pipelineColourspace("cmyk").toColourspace("cmyk").raw();
  const { data, info } = await inks.toBuffer({ resolveWithObject: true });
  const rgb = new Uint8Array(info.width * info.height * 3);
  const slice = 1 << 19; // pixels between two looks at the event loop: about 2 ms
  for (let first = 0; first < info.width * info.height; first += slice) {
    cmykToRgb(data, info.channels, rgb, first, Math.min(info.width * info.height, first + slice));
    await setImmediate();
  }
  return picture(info.width, info.height, rgb);
}

/** Pillow's formula: (255 − K) − C · (255 − K) / 255, the division rounded. */
function cmykToRgb(inks: Uint8Array, channels: number, rgb: Uint8Array, first: number, end: number): void {
  for (let i = first; i < end; i++) {
    const light = 255 - (inks[i * channels + 3] ?? 0);
    for (let c = 0; c < 3; c++) {
      const product = (inks[i * channels + c] ?? 0) * light + 128;
      rgb[i * 3 + c] = Math.max(0, light - ((product + (product >> 8)) >> 8));
    }
  }
}

function corrupt(where: string, format: ImageFormat, cause: unknown): ImageError {
  const reason = cause instanceof Error ? cause.message.trim().replaceAll(/\s+/g, " ") : String(cause);
  return new ImageError("corrupt", `${where}: the ${format} file is truncated or damaged (${reason}).`, { format }, { cause });
}
