/**
 * Files appear whole or not at all: written beside their place under a temporary name, flushed to the disk, renamed.
 * A crash at any moment leaves the old file, or none, and at most a temporary one that nobody reads.
 */
import { randomUUID } from "node:crypto";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { CheckpointError } from "./checkpoint-error.ts";
import { makeFolder } from "./make-folder.ts";

/** What every temporary file's name ends with. */
export const TEMPORARY = ".tmp";

/** A name beside `path` that nobody else uses. */
export function temporaryName(path: string): string {
  return join(dirname(path), `.${basename(path)}.${process.pid}-${randomUUID().slice(0, 8)}${TEMPORARY}`);
}

/** Creates or replaces `path` with what `write` puts into the handle. */
export async function writeAtomically(path: string, write: (file: FileHandle) => Promise<void>): Promise<void> {
  const temporary = temporaryName(path);
  try {
    await makeFolder(dirname(path));
    const file = await open(temporary, "wx");
    try {
      await write(file);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
    await syncFolder(dirname(path));
  } catch (cause) {
    await rm(temporary, { force: true }).catch(() => {}); // what went wrong first is what counts
    throw asWriteError(path, cause);
  }
}

/** Makes a rename inside `folder` survive a power cut. Windows has no such call, and does not need it. */
export async function syncFolder(folder: string): Promise<void> {
  if (process.platform === "win32") return;
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** What the operating system refused, as an error that says where and what to do; any other error stays what it is. */
export function asWriteError(path: string, cause: unknown, cure = ""): unknown {
  const reason = cause instanceof Error && "syscall" in cause && "code" in cause ? String(cause.code) : undefined;
  if (reason === undefined) return cause;
  const message = reason === "ENOSPC" ? "cannot be written: the disk is full." : `cannot be written (${reason}).${cure}`;
  return new CheckpointError({ code: "unwritable", file: path, message }, { cause });
}

/** Writes all of `bytes` at `position`; one call of the system may take less. */
export async function writeFully(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  const LARGEST_WRITE = 2 ** 30;
  for (let written = 0; written < bytes.byteLength; ) {
    const length = Math.min(LARGEST_WRITE, bytes.byteLength - written);
    const { bytesWritten } = await file.write(bytes, written, length, position + written);
    written += bytesWritten;
  }
}
