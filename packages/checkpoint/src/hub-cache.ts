/**
 * The cache that all Hugging Face tools share.
 *
 *     <cache>/models--<owner>--<name>/
 *       blobs/<etag>                       content, once; <etag>.incomplete while it is downloaded
 *       snapshots/<commit>/<file>          links into blobs
 *       refs/<branch or tag>               the commit it stood for when it was last asked
 */
import { link, readdir, readFile, realpath, rm, stat, symlink } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { getHFHubCachePath } from "@huggingface/hub";
import { writeAtomically, writeFully } from "./atomic-file.ts";
import { makeFolder } from "./make-folder.ts";

export class HubCache {
  readonly folder: string;
  readonly #locks: string;

  constructor(repository: string, cacheDir: string = getHFHubCachePath()) {
    const name = `models--${repository.replaceAll("/", "--")}`;
    this.folder = join(cacheDir, name);
    this.#locks = join(cacheDir, ".locks", name);
  }

  snapshot(commit: string): string {
    return join(this.folder, "snapshots", commit);
  }

  blob(etag: string): string {
    return join(this.folder, "blobs", etag);
  }

  /** Not the name that Python uses: its locks are of another kind, and stay after use. */
  lock(etag: string): string {
    return join(this.#locks, `${etag}.waggle.lock`);
  }

  /** The snapshot of `revision`, a branch, tag or commit, as far as it is here. */
  async find(revision: string): Promise<string | undefined> {
    const ref = await readFile(join(this.folder, "refs", revision), "utf8").catch(() => undefined);
    for (const commit of [ref?.trim(), revision]) {
      if (!commit) continue;
      const files = await readdir(this.snapshot(commit)).catch(() => []);
      if (files.length > 0) return this.snapshot(commit);
    }
    return undefined;
  }

  async writeRef(revision: string, commit: string): Promise<void> {
    if (revision === commit) return;
    const path = join(this.folder, "refs", revision);
    const known = await readFile(path, "utf8").catch(() => undefined);
    if (known !== commit) await writeAtomically(path, (file) => writeFully(file, Buffer.from(commit), 0));
  }

  /** Makes `file` of the snapshot `commit` be the blob `etag`. */
  async link(commit: string, file: string, etag: string): Promise<void> {
    const path = join(this.snapshot(commit), file);
    const folder = dirname(path);
    await makeFolder(folder);
    await rm(path, { force: true }); // a link whose blob was deleted
    // Relative, so that the cache can be moved; from the real folder, because that is where links are followed from.
    const target = relative(await realpath(folder), await realpath(this.blob(etag)));
    try {
      await symlink(target, path);
    } catch (error) {
      const reason = (error as NodeJS.ErrnoException).code;
      if (reason === "EEXIST") return; // another process did it
      if (reason !== "EPERM" && reason !== "ENOTSUP") throw error;
      await link(this.blob(etag), path); // Windows lets only some accounts make symbolic links
    }
  }
}

export async function sizeOf(path: string): Promise<number | undefined> {
  return stat(path).then(
    ({ size }) => size,
    () => undefined,
  );
}
