/** Computed weights that are too many for a model's bytes, in a temporary file. */
import { rmSync } from "node:fs";
import { type FileHandle, mkdtemp, open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { PlacementContext, WeightLocation, WeightToPlace } from "./placement.ts";
import { RuntimeError } from "./runtime-error.ts";
import { byteLengthOf, bytesOf } from "./weight-bytes.ts";

export interface Spooled {
  readonly locations: ReadonlyMap<string, WeightLocation>;
  /** May be called again: Windows keeps a file that is mapped, elsewhere a mapping outlives its name. */
  remove(): void;
}

const ALIGNMENT = 64; // a cache line

export async function spool(weights: readonly WeightToPlace[], context: PlacementContext): Promise<Spooled> {
  if (weights.length === 0) return { locations: new Map(), remove: () => {} };
  const folder = await mkdtemp(join(tmpdir(), "waggle-weights-"));
  const remove = (): void => {
    try {
      rmSync(folder, { recursive: true, force: true });
    } catch {} // in use
  };
  try {
    return { locations: await writeFile(join(folder, "weights.bin"), weights, context), remove };
  } catch (error) {
    remove();
    throw error;
  }
}

async function writeFile(
  path: string,
  weights: readonly WeightToPlace[],
  { signal, onProgress }: PlacementContext,
): Promise<Map<string, WeightLocation>> {
  const locations = new Map<string, WeightLocation>();
  const total = weights.reduce((sum, { source, shape }) => sum + byteLengthOf(source.dtype, shape), 0);
  let [offset, loaded] = [0, 0];
  const file = await open(path, "wx", 0o600);
  try {
    for (const weight of weights) {
      signal?.throwIfAborted();
      const bytes = await bytesOf(weight);
      await write(file, path, bytes, offset, total);
      locations.set(weight.name, { path, offset, byteLength: bytes.byteLength });
      offset = Math.ceil((offset + bytes.byteLength) / ALIGNMENT) * ALIGNMENT;
      loaded += bytes.byteLength;
      onProgress?.({ phase: "write", file: path, loaded, total });
    }
  } finally {
    await file.close();
  }
  return locations;
}

const MOST_AT_ONCE = 2 ** 30; // one system call moves at most 2 GiB

async function write(file: FileHandle, path: string, bytes: Uint8Array, offset: number, total: number): Promise<void> {
  try {
    for (let at = 0; at < bytes.byteLength; ) {
      at += (await file.write(bytes, at, Math.min(MOST_AT_ONCE, bytes.byteLength - at), offset + at)).bytesWritten;
    }
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    const cure = "Free some space, or set TMPDIR to a folder with more.";
    throw new RuntimeError(
      "weights",
      `${path}: cannot hold the ${total} bytes of computed weights: ${why}. ${cure}`,
      { path, total },
      { cause: error },
    );
  }
}
