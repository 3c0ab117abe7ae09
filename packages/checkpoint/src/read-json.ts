import { CheckpointError } from "./checkpoint-error.ts";
import { isNestedDeeper } from "./json-structure.ts";
import { readExactly, withFile } from "./open-file.ts";
import { checkOptions } from "./options.ts";

export interface ReadJsonOptions {
  /** Largest file in bytes (default 64 MiB: the largest tokenizer.json on the hub has about 33 MB). */
  readonly limit?: number;
}

const DEEPEST = 256;
const DEFAULT_LIMIT = 64 * 2 ** 20;

/** Reads one JSON file. A file that is missing, too large, not UTF-8 or not JSON is a typed error that says where. */
export async function readJson(path: string, options: ReadJsonOptions = {}): Promise<unknown> {
  checkOptions("readJson", options, ["limit"]);
  const { limit = DEFAULT_LIMIT } = options;
  return parseJson(await readLimited(path, limit), path);
}

/** The bytes of a whole file that has at most `limit` of them. */
export async function readLimited(path: string, limit: number): Promise<Uint8Array> {
  return withFile(path, async (file, { size }) => {
    if (size > limit) {
      throw new CheckpointError({ code: "too_large", file: path, message: `has ${size} bytes, the limit is ${limit}.` });
    }
    const bytes = new Uint8Array(size);
    await readExactly(file, path, bytes, 0);
    return bytes;
  });
}

/** Parses UTF-8 JSON that came from `file`. */
export function parseJson(bytes: Uint8Array, file: string): unknown {
  if (isNestedDeeper(bytes, DEEPEST)) {
    throw new CheckpointError({ code: "too_large", file, message: `is nested deeper than ${DEEPEST} levels.` });
  }
  const text = decodeUtf8(bytes, file);
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new CheckpointError({ code: "invalid_json", file, message: `is not JSON: ${reasonOf(cause, text)}` }, { cause });
  }
}

/** Decodes UTF-8 that came from `file`, strictly. */
export function decodeUtf8(bytes: Uint8Array, file: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new CheckpointError({ code: "invalid_json", file, message: "is not UTF-8 text." }, { cause });
  }
}

function reasonOf(cause: unknown, text: string): string {
  if (text.trim() === "") return "it is empty.";
  const { message } = cause as SyntaxError;
  const position = /at position (\d+)/.exec(message)?.[1];
  if (position === undefined) return `${message}.`; // names the place by the text around it
  const before = text.slice(0, Number(position)).split("\n");
  return `${message} (line ${before.length}, column ${(before.at(-1)?.length ?? 0) + 1}).`;
}
