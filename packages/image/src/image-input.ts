import { ImageError } from "./image-error.ts";

/** What a picture is read from: a path, an http(s), file or data URL, "-" for standard input, or the bytes of an image file. */
export type ImageSource = string | URL | Uint8Array | Blob;

/** A picture as a part of a message. Nothing is read before it is decoded. */
export interface ImageInput {
  readonly type: "image";
  readonly source: ImageSource;
}

export function image(source: ImageSource): ImageInput {
  const known = typeof source === "string" || source instanceof URL || source instanceof Uint8Array || source instanceof Blob;
  if (!known || source === "") {
    const got = source === "" ? "an empty string" : source === null ? "null" : typeof source;
    throw new ImageError(
      "bad-source",
      `image(): expected a path, URL, Blob or Uint8Array of an image file, or "-" for standard input; got ${got}.`,
    );
  }
  return { type: "image", source };
}

/** The source in words, short enough for a message. */
export function describe(source: ImageSource): string {
  if (source instanceof Uint8Array) return `${source.byteLength} bytes`;
  if (source instanceof Blob) return `Blob of ${source.size} bytes`;
  const text = String(source);
  if (text === "-") return "standard input";
  return text.length > 200 ? `${text.slice(0, 120)}… (${text.length} characters)` : text;
}
