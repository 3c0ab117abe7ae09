import { type FileHandle, open } from "node:fs/promises";
import { CheckpointError } from "./checkpoint-error.ts";

/** What identifies one state of one file. */
export interface FileState {
  readonly path: string;
  readonly size: number;
  /** Device, inode, size, and both times to the nanosecond. */
  readonly identity: string;
}

// One read of the operating system moves at most 2 GiB − 1.
const LARGEST_READ = 2 ** 30;

/** Opens a regular file for reading, runs `use`, closes. System errors become typed ones. */
export async function withFile<T>(path: string, use: (file: FileHandle, state: FileState) => Promise<T>): Promise<T> {
  const file = await openForReading(path);
  try {
    const stat = await file.stat({ bigint: true });
    if (!stat.isFile()) {
      throw new CheckpointError({ code: "unreadable", file: path, message: "is not a regular file." });
    }
    const identity = [stat.dev, stat.ino, stat.size, stat.mtimeNs, stat.ctimeNs].join(":");
    return await use(file, { path, size: Number(stat.size), identity });
  } finally {
    await file.close();
  }
}

async function openForReading(path: string): Promise<FileHandle> {
  try {
    return await open(path, "r");
  } catch (cause) {
    const reason = (cause as NodeJS.ErrnoException).code;
    if (reason === "ENOENT" || reason === "ENOTDIR") {
      throw new CheckpointError({ code: "not_found", file: path, message: "there is no such file." }, { cause });
    }
    throw new CheckpointError({ code: "unreadable", file: path, message: `cannot be opened (${reason}).` }, { cause });
  }
}

/** Fills `into` from `position` on. A file that ends earlier is a typed error. */
export async function readExactly(file: FileHandle, path: string, into: Uint8Array, position: number): Promise<void> {
  let filled = 0;
  while (filled < into.byteLength) {
    const length = Math.min(into.byteLength - filled, LARGEST_READ);
    const { bytesRead } = await file.read(into, filled, length, position + filled);
    if (bytesRead === 0) {
      throw new CheckpointError({
        code: "truncated",
        file: path,
        message: `ends at byte ${position + filled}, expected ${into.byteLength - filled} more. Copy or download it again.`,
      });
    }
    filled += bytesRead;
  }
}
