import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { withLock } from "./file-lock.ts";
import { HubCache, sizeOf } from "./hub-cache.ts";
import { HubClient, isFileName, type RemoteFile } from "./hub-client.ts";
import { downloadBlob } from "./hub-download.ts";
import { HubError } from "./hub-error.ts";
import { checkOptions } from "./options.ts";
import type { OnProgress } from "./progress.ts";
import { selectFiles } from "./select-files.ts";

export interface ResolveOptions {
  /** Branch, tag or commit (default `main`). */
  readonly revision?: string;
  /** Default `$HF_HUB_CACHE`, else `$HF_HOME/hub`, else `~/.cache/huggingface/hub`. */
  readonly cacheDir?: string;
  /** Default `$HF_TOKEN`. Sent to the endpoint only, never to where it redirects. */
  readonly token?: string;
  /** Default `$HF_ENDPOINT`, else `https://huggingface.co`. */
  readonly endpoint?: string;
  /** Use only what the cache holds. Default: whether `$HF_HUB_OFFLINE` is 1, true, yes or on. */
  readonly offline?: boolean;
  readonly signal?: AbortSignal;
  readonly onProgress?: OnProgress<"download" | "cached">;
  /** Files to fetch, `*` standing for anything. Default: configuration, tokenizer, and one form of the weights. */
  readonly include?: readonly string[];
}

const OPTIONS = ["revision", "cacheDir", "token", "endpoint", "offline", "signal", "onProgress", "include"];
const AT_ONCE = 4;

/**
 * The folder of a model: `id` itself if it is one, otherwise the snapshot of the repository `id` in the Hugging Face
 * cache, after what was missing has been downloaded. If the hub cannot be reached, a snapshot that the cache holds is used,
 * and `onProgress` hears `phase: "cached"`.
 */
export async function resolveModel(id: string, options: ResolveOptions = {}): Promise<string> {
  checkOptions("resolveModel", options, OPTIONS);
  const { signal, revision = "main" } = options;
  signal?.throwIfAborted();
  if (await isFolder(id)) return resolve(id);
  checkNames(id, revision);
  const cache = new HubCache(id, options.cacheDir);
  const cached = await cache.find(revision);
  if (options.offline ?? isOfflineByEnvironment()) {
    if (cached !== undefined) return cached;
    const message = `revision ${JSON.stringify(revision)} is not in the cache (${cache.folder}), and HF_HUB_OFFLINE forbids to fetch it.`;
    throw new HubError("offline", id, message);
  }
  const endpoint = options.endpoint ?? (process.env.HF_ENDPOINT || "https://huggingface.co");
  const client = new HubClient(id, endpoint, options.token ?? (process.env.HF_TOKEN || undefined), signal);
  const listing = await client.list(revision).catch((error: unknown) => {
    if (cached === undefined || !(error instanceof HubError) || error.code !== "unreachable") throw error;
    options.onProgress?.({ phase: "cached", file: cached, loaded: 0, total: 0 });
    return undefined;
  });
  if (listing === undefined) return cached as string;
  const wanted = selectFiles(listing.files, options.include);
  if (wanted.length === 0) {
    throw new HubError("not_found", id, `has no file that is wanted among its ${listing.files.length}.`);
  }
  await fetchFiles(client, cache, listing.commit, wanted, options);
  await cache.writeRef(revision, listing.commit); // last: until then the cache keeps pointing to what is complete
  return cache.snapshot(listing.commit);
}

async function fetchFiles(
  client: HubClient,
  cache: HubCache,
  commit: string,
  wanted: readonly string[],
  { signal, onProgress }: ResolveOptions,
): Promise<void> {
  for (const path of wanted) {
    if (path.split("/").every(isFileName)) continue;
    throw client.error("server_error", "is no file name: it would leave the cache's folder.", path);
  }
  const here = await Promise.all(wanted.map((path) => isFile(`${cache.snapshot(commit)}/${path}`)));
  const missing = wanted.filter((_, index) => !here[index]);
  const files: RemoteFile[] = [];
  await forEachAtOnce(missing, signal, async (path) => {
    files.push(await client.describe(commit, path));
  });
  const total = files.reduce((sum, { size }) => sum + (size ?? 0), 0);
  const loaded = new Map<string, number>();
  await forEachAtOnce(files, signal, async (file, stop) => {
    const report = (bytes: number): void => {
      loaded.set(file.path, bytes);
      const sum = [...loaded.values()].reduce((a, b) => a + b, 0);
      onProgress?.({ phase: "download", file: file.path, loaded: sum, total: Math.max(sum, total) });
    };
    await withLock(cache.lock(file.etag), stop, async () => {
      const blob = cache.blob(file.etag);
      const size = await sizeOf(blob);
      if (size === undefined) await downloadBlob(client, file, blob, stop, report);
      else report(size);
      await cache.link(commit, file.path, file.etag);
    });
  });
}

/** Runs `work` on all items, a few at a time. The first failure stops the others, and is thrown when they have stopped. */
async function forEachAtOnce<T>(
  items: readonly T[],
  signal: AbortSignal | undefined,
  work: (item: T, stop: AbortSignal) => Promise<void>,
): Promise<void> {
  const failed = new AbortController();
  const stop = AbortSignal.any(signal ? [signal, failed.signal] : [failed.signal]);
  const queue = [...items];
  let failure: { readonly error: unknown } | undefined;
  const worker = async (): Promise<void> => {
    for (let item = queue.shift(); item !== undefined && !stop.aborted; item = queue.shift()) {
      await work(item, stop).catch((error: unknown) => {
        failure ??= { error };
        failed.abort();
      });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  signal?.throwIfAborted();
  if (failure) throw failure.error;
}

function checkNames(id: string, revision: string): void {
  const parts = id.split("/");
  const isId = parts.length <= 2 && id.length <= 96 && parts.every((part) => /^\w(?:[\w.-]*\w)?$/.test(part)) && !/--|\.\./.test(id);
  if (!isId) {
    throw new HubError("invalid_id", id, "is neither an existing folder nor the name of a repository (owner/name).");
  }
  if (!revision.split("/").every(isFileName)) {
    throw new HubError("invalid_id", id, `${JSON.stringify(revision)} is no revision: expected a branch, tag or commit.`);
  }
}

function isOfflineByEnvironment(): boolean {
  return /^(1|true|yes|on)$/i.test(process.env.HF_HUB_OFFLINE ?? "");
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isFile(),
    () => false,
  );
}
