import { randomUUID } from "node:crypto";
import { readdir, rename, rm, rmdir } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { CheckpointError } from "./checkpoint-error.ts";
import { makeFolder } from "./make-folder.ts";

/**
 * A folder that appears when it is complete, or not at all: `write` fills one beside it, which then gets its name.
 * `folder` must be empty or not exist.
 */
export async function writeFolder(folder: string, write: (temporary: string) => Promise<void>): Promise<void> {
  const target = resolve(folder);
  await refuseFull(target);
  const temporary = join(dirname(target), `.${basename(target)}.${process.pid}-${randomUUID().slice(0, 8)}.tmp`);
  try {
    await makeFolder(temporary);
    await write(temporary);
    await rmdir(target).catch(() => {}); // an empty one, where there is one
    await rename(temporary, target);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true }).catch(() => {}); // what went wrong first is what counts
    throw asUnwritable(target, named(target, temporary, error));
  }
}

/** An error about a file of the temporary folder, which is gone by now, under the name that the file would have had. */
function named(target: string, temporary: string, error: unknown): unknown {
  if (!(error instanceof CheckpointError)) return error;
  const [first, ...others] = error.problems.map(({ file, ...problem }) => ({
    ...problem,
    file: file.startsWith(temporary) ? target + file.slice(temporary.length) : file,
  }));
  return first === undefined ? error : new CheckpointError([first, ...others], { cause: error.cause });
}

async function refuseFull(folder: string): Promise<void> {
  const names = await readdir(folder).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === "ENOENT") return [];
    throw asUnwritable(folder, cause);
  });
  if (names.length === 0) return;
  const message = `is not empty (${names.slice(0, 3).join(", ")}${names.length > 3 ? ", …" : ""}). Name a folder that does not exist yet.`;
  throw new CheckpointError({ code: "unwritable", file: folder, message });
}

/** What the operating system refused, with the place. */
function asUnwritable(file: string, cause: unknown): unknown {
  if (!(cause instanceof Error && "syscall" in cause && "code" in cause)) return cause;
  const message = cause.code === "ENOSPC" ? "cannot be written: the disk is full." : `cannot be written (${String(cause.code)}).`;
  return new CheckpointError({ code: "unwritable", file, message }, { cause });
}
