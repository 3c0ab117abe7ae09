/**
 * Converted weights on disk. ONNX Runtime's CPU has no float16 products, so a float16 or bfloat16 checkpoint is widened
 * once, piece by piece, into one file that is mapped from then on.
 *
 *     <folder>/<key>.safetensors     key = SHA-256 over names, fingerprints and types: other content, other key
 *     <folder>/<key>.lock            held while somebody converts; see file-lock.ts
 *
 * A cached file is an ordinary safetensors file: its header says what it holds, and a hit is checked against it.
 */
import { readdir, realpath, rm, stat, statfs, utimes } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { asWriteError, TEMPORARY, writeAtomically } from "./atomic-file.ts";
import { CheckpointError } from "./checkpoint-error.ts";
import { type ConvertedLayout, keyOf, locationsIn, planFile, type WeightRequest, writeConverted } from "./converted-file.ts";
import { isLocked, releaseAbandoned, withLock } from "./file-lock.ts";
import { makeFolder } from "./make-folder.ts";
import { type Checkpoint, openSafetensors } from "./open-safetensors.ts";
import { checkOptions } from "./options.ts";
import type { OnProgress } from "./progress.ts";
import type { DenseTensorEntry, TensorLocation } from "./tensor-entry.ts";

export interface WeightCacheOptions {
  /** Default `$WAGGLE_CACHE/weights`, else `$XDG_CACHE_HOME/waggle/weights`, else `~/.cache/waggle/weights`. */
  readonly folder?: string;
  /** The most that the folder may hold (default 100 GB); the files unused for longest go first. */
  readonly maxBytes?: number;
}

export interface CachedWeights {
  readonly path: string;
  readonly byteLength: number;
  readonly tensors: number;
  /** The files that the weights came from, where the sources said so. */
  readonly sources: readonly string[];
  readonly lastUsed: Date;
}

export interface GetWeightsOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: OnProgress<"convert">;
}

const DEFAULT_MAX_BYTES = 100e9;
const WEIGHTS = ".safetensors";
const LOCK = ".lock";

export class WeightCache {
  readonly folder: string;
  readonly maxBytes: number;

  constructor(options: WeightCacheOptions = {}) {
    checkOptions("WeightCache", options, ["folder", "maxBytes"]);
    this.folder = options.folder ?? defaultFolder();
    this.maxBytes = options.maxBytes ?? DEFAULT_MAX_BYTES;
    if (!(this.maxBytes >= 0)) {
      const message = `maxBytes: expected a number ≥ 0, got ${this.maxBytes}.`;
      throw new CheckpointError({ code: "invalid_option", file: "WeightCache", message });
    }
  }

  /**
   * Where each request's float32 bytes lie, all in one file. Converts what no earlier call, in this or any other
   * process, has converted; aborting leaves nothing behind.
   */
  async get(requests: readonly WeightRequest[], options: GetWeightsOptions = {}): Promise<ReadonlyMap<string, TensorLocation>> {
    checkOptions("WeightCache.get", options, ["signal", "onProgress"]);
    const cure = " Weights are converted into it once: set WAGGLE_CACHE, or the folder of the WeightCache, to one that can be written.";
    return this.#get(requests, options).catch((cause: unknown) => Promise.reject(asWriteError(this.folder, cause, cure)));
  }

  async #get(requests: readonly WeightRequest[], { signal, onProgress }: GetWeightsOptions): Promise<ReadonlyMap<string, TensorLocation>> {
    signal?.throwIfAborted();
    const key = keyOf(requests);
    await makeFolder(this.folder);
    const path = join(await realpath(this.folder), key + WEIGHTS);
    const layout = planFile(path, requests);
    if (await isHit(path, layout)) return locationsIn(path, layout);
    await withLock(join(this.folder, key + LOCK), signal, async () => {
      if (await isHit(path, layout)) return; // another process made it while we waited
      await this.#makeRoom(key, layout.byteLength);
      await writeAtomically(path, (file) => writeConverted(file, path, layout, signal, onProgress));
      await this.#evict(key, layout.byteLength); // others may have written at the same time
    });
    return locationsIn(path, layout);
  }

  /** What the cache holds, most recently used first. */
  async list(): Promise<readonly CachedWeights[]> {
    const found = await Promise.all((await this.#filesWith(WEIGHTS)).map(describe));
    return found.filter((file) => file !== undefined).sort((a, b) => b.lastUsed.getTime() - a.lastUsed.getTime());
  }

  /** Deletes everything but what is being written at this moment; says how many converted files that were. */
  async clear(): Promise<{ readonly files: number; readonly byteLength: number }> {
    const weights = await this.#filesWith(WEIGHTS);
    const abandoned = await this.#abandoned(undefined);
    let byteLength = 0;
    for (const path of [...weights, ...abandoned]) byteLength += await remove(path);
    for (const lock of await this.#filesWith(LOCK)) await releaseAbandoned(lock);
    return { files: weights.length, byteLength };
  }

  async #makeRoom(key: string, needed: number): Promise<void> {
    if (needed > this.maxBytes) throw this.#full(needed, `the cache's limit is ${this.maxBytes}. Raise maxBytes.`);
    await this.#evict(key, needed);
    const disk = await statfs(this.folder);
    const free = disk.bavail * disk.bsize;
    if (needed > free) throw this.#full(needed, `the disk has ${free} left. Choose another folder, or free some space.`);
  }

  #full(needed: number, limit: string): CheckpointError {
    const message = `the converted weights need ${needed} bytes, ${limit}`;
    return new CheckpointError({ code: "cache_full", file: this.folder, message });
  }

  /** Deletes what nobody will finish, then what was unused for longest, until the file of `key` fits with `own` bytes. */
  async #evict(key: string, own: number): Promise<void> {
    for (const path of await this.#abandoned(key)) await remove(path);
    const others = (await this.list()).filter(({ path }) => !path.includes(key));
    let held = others.reduce((sum, { byteLength }) => sum + byteLength, own);
    for (const { path, byteLength } of others.reverse()) {
      if (held <= this.maxBytes) return;
      await remove(path);
      held -= byteLength;
    }
  }

  /** Temporary files that no living process writes. `ownKey`: we hold that lock, and have not begun yet. */
  async #abandoned(ownKey: string | undefined): Promise<readonly string[]> {
    const abandoned: string[] = [];
    for (const path of await this.#filesWith(TEMPORARY)) {
      const key = /\.([0-9a-f]{64})\.safetensors\./.exec(path)?.[1];
      if (key === undefined) continue; // not ours
      if (key === ownKey || !(await isLocked(join(this.folder, key + LOCK)))) abandoned.push(path);
    }
    return abandoned;
  }

  async #filesWith(ending: string): Promise<readonly string[]> {
    const names = await readdir(this.folder).catch(() => []);
    return names.filter((name) => /^\.?[0-9a-f]{64}\./.test(name) && name.endsWith(ending)).map((name) => join(this.folder, name));
  }
}

/** Whether `path` is a whole file with exactly the planned tensors; marks it as used. */
async function isHit(path: string, layout: ConvertedLayout): Promise<boolean> {
  const { tensors } = (await openCached(path)) ?? {};
  if (tensors?.size !== layout.tensors.length) return false;
  const same = layout.tensors.every(({ tensor, offset, byteLength }) => {
    const found = tensors.get(tensor.name);
    return found?.dtype === tensor.dtype && found.location.offset === offset && found.location.byteLength === byteLength;
  });
  if (!same) return false;
  // The time of the last access only: the content's own time stays.
  await utimes(path, new Date(), (await stat(path)).mtime).catch(() => {}); // a read-only cache serves as well
  return true;
}

/** `undefined` for a file that is missing or that we did not finish: it will be made again. */
async function openCached(path: string): Promise<Checkpoint<DenseTensorEntry> | undefined> {
  try {
    return await openSafetensors(path);
  } catch (error) {
    if (error instanceof CheckpointError) return undefined;
    throw error;
  }
}

async function describe(path: string): Promise<CachedWeights | undefined> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) return undefined; // deleted meanwhile
  const file = await openCached(path);
  return {
    path,
    byteLength: found.size,
    tensors: file?.tensors.size ?? 0,
    sources: JSON.parse(file?.metadata.sources ?? "[]") as string[],
    lastUsed: found.atime,
  };
}

/** Deletes a file if it is still there (Windows keeps one that is mapped); returns the bytes freed. */
async function remove(path: string): Promise<number> {
  try {
    const { size } = await stat(path);
    await rm(path);
    return size;
  } catch {
    return 0;
  }
}

function defaultFolder(): string {
  const { WAGGLE_CACHE, XDG_CACHE_HOME } = process.env;
  return join(WAGGLE_CACHE || join(XDG_CACHE_HOME || join(homedir(), ".cache"), "waggle"), "weights"); // set but empty is not set
}
