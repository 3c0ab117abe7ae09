/** Reads the bytes of an image file from wherever it lies, with limits. */
import { createReadStream } from "node:fs";
import { readFile as readWhole, stat } from "node:fs/promises";
import { addAbortSignal, type Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { download } from "./download.ts";
import { ImageError } from "./image-error.ts";
import { describe, type ImageSource } from "./image-input.ts";

export interface ReadLimits {
  readonly maxBytes: number;
  /** For http(s): until the last byte has come. */
  readonly timeoutMs: number;
  readonly allowPrivateAddresses: boolean;
  readonly signal?: AbortSignal | undefined;
}

export async function readBytes(source: ImageSource, limits: ReadLimits): Promise<Uint8Array> {
  if (source instanceof Uint8Array) return checkLength(source, source.byteLength, source, limits);
  if (source instanceof Blob) {
    checkLength(source, source.size, source, limits);
    return new Uint8Array(await source.arrayBuffer());
  }
  if (source === "-") return collect(abortable(process.stdin, limits.signal), source, limits);
  const url = source instanceof URL ? source : parseUrl(source);
  if (url === null) return readFile(String(source), limits);
  switch (url.protocol) {
    case "http:":
    case "https:":
      return download(url, limits);
    case "data:":
      return readDataUrl(url, limits);
    case "file:":
      return readFile(filePath(url), limits);
    default:
      throw new ImageError("bad-url", `${describe(source)}: pictures come from http:, https:, data: and file: URLs, not ${url.protocol}`, {
        protocol: url.protocol,
      });
  }
}

/** The source's stream as one array; stops reading at the limit. */
export async function collect(
  stream: AsyncIterable<unknown>,
  source: ImageSource,
  limits: Pick<ReadLimits, "maxBytes">,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of stream) {
    if (!(chunk instanceof Uint8Array)) {
      throw new ImageError("unreadable", `${describe(source)}: the stream yields text, not bytes. Do not set an encoding on it.`);
    }
    length += chunk.byteLength;
    checkLength(chunk, length, source, limits);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, length);
}

function abortable(stream: Readable, signal: AbortSignal | undefined): Readable {
  return signal === undefined ? stream : addAbortSignal(signal, stream);
}

function checkLength<T>(value: T, length: number, source: ImageSource, { maxBytes }: Pick<ReadLimits, "maxBytes">): T {
  if (length <= maxBytes) return value;
  throw new ImageError("too-many-bytes", `${describe(source)}: more than ${maxBytes} bytes. Pass a larger maxBytes if that is intended.`, {
    maxBytes,
    bytes: length,
  });
}

/** Null for what is a path: everything without a scheme, and Windows drives. */
function parseUrl(text: string): URL | null {
  if (!/^([a-z][a-z\d+.-]+:\/\/|data:)/i.test(text)) return null;
  try {
    return new URL(text);
  } catch (cause) {
    throw new ImageError("bad-url", `${describe(text)}: not a valid URL.`, {}, { cause });
  }
}

function filePath(url: URL): string {
  try {
    return fileURLToPath(url);
  } catch (cause) {
    throw new ImageError("bad-url", `${url.href}: a file URL names no file on this machine.`, {}, { cause });
  }
}

function readDataUrl(url: URL, limits: ReadLimits): Uint8Array {
  const comma = url.href.indexOf(",");
  if (comma === -1) throw new ImageError("bad-url", `${describe(url)}: a data URL needs a comma before its data.`);
  const data = url.href.slice(comma + 1);
  if (!/;base64$/i.test(url.href.slice(0, comma))) {
    return checkLength(Buffer.from(unescapeBytes(data), "latin1"), data.length, url, limits);
  }
  const text = unescapeBytes(data).replaceAll(/\s/g, "");
  checkLength(text, Math.floor((text.length * 3) / 4), url, limits);
  if (!/^[A-Za-z\d+/_-]*={0,2}$/.test(text)) throw new ImageError("bad-url", `${describe(url)}: the data is not base64.`);
  return Buffer.from(text, "base64");
}

function unescapeBytes(text: string): string {
  return text.replace(/%([\da-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

async function readFile(path: string, limits: ReadLimits): Promise<Uint8Array> {
  try {
    const entry = await stat(path);
    if (entry.isDirectory()) throw new ImageError("not-a-file", `${path}: is a folder, not a picture.`, { path });
    checkLength(entry, entry.size, path, limits);
    if (entry.isFile()) return await readWhole(path, { signal: limits.signal });
    return await collect(createReadStream(path, { signal: limits.signal }), path, limits); // a pipe
  } catch (cause) {
    if (cause instanceof ImageError) throw cause;
    limits.signal?.throwIfAborted();
    const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
    if (code === "ENOENT" || code === "ENOTDIR") throw new ImageError("not-found", `${path}: there is no such file.`, { path }, { cause });
    throw new ImageError("unreadable", `${path}: cannot be read (${String(code ?? cause)}).`, { path }, { cause });
  }
}
