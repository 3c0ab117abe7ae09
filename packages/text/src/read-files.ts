import { open } from "node:fs/promises";
import { join } from "node:path";
import { JsonEntry } from "./json-entry.ts";
import { TokenizerError } from "./tokenizer-error.ts";

/** The largest published tokenizer.json (Gemma 3) has 33 MB. */
const MAX_BYTES = 256 * 2 ** 20;

/** The bytes of a file in `folder`, null if there is none. */
export async function readBytes(folder: string, name: string): Promise<Buffer | null> {
  const path = join(folder, name);
  try {
    await using handle = await open(path);
    const { size } = await handle.stat();
    if (size > MAX_BYTES) {
      throw new TokenizerError("too_large", `${size} bytes; a tokenizer's file may have up to ${MAX_BYTES}.`, { file: path });
    }
    return await handle.readFile();
  } catch (error) {
    if (error instanceof TokenizerError) throw error;
    const reason = error instanceof Error && "code" in error ? String(error.code) : String(error);
    if (reason === "ENOENT" || reason === "ENOTDIR") return null;
    throw new TokenizerError("unreadable", `cannot be read (${reason}).`, { file: path });
  }
}

export async function readText(folder: string, name: string): Promise<string | null> {
  return (await readBytes(folder, name))?.toString("utf8") ?? null;
}

export async function readJsonEntry(folder: string, name: string): Promise<JsonEntry | null> {
  const text = await readText(folder, name);
  return text === null ? null : JsonEntry.parse(text, join(folder, name));
}
