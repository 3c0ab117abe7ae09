import { mkdir, stat } from "node:fs/promises";
import { dirname } from "node:path";

/**
 * Makes a folder with all that it lies in. Unlike Node's `mkdir` with `recursive`, which tries for ever where a folder is
 * there but takes no entries (/proc).
 */
export async function makeFolder(path: string): Promise<void> {
  const refusal = await tryMake(path);
  if (refusal?.code !== "ENOENT" || dirname(path) === path) return settle(refusal);
  await makeFolder(dirname(path));
  settle(await tryMake(path));
}

/** Null where the folder is there now. */
async function tryMake(path: string): Promise<NodeJS.ErrnoException | null> {
  try {
    await mkdir(path);
    return null;
  } catch (cause) {
    const refusal = cause as NodeJS.ErrnoException;
    return refusal.code === "EEXIST" && (await isFolder(path)) ? null : refusal;
  }
}

function settle(refusal: NodeJS.ErrnoException | null): void {
  if (refusal !== null) throw refusal;
}

function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}
