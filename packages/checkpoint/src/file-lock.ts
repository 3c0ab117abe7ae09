/**
 * One process at a time: a lock is a file that only one can create. Its holder touches it every second; a lock whose
 * process is gone, or that nobody has touched for a while (another machine, a reused process number), is taken over.
 */
import { randomUUID } from "node:crypto";
import { readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { makeFolder } from "./make-folder.ts";

const TOUCH_MS = 1_000;
const ABANDONED_MS = 30_000;
const POLL_MS = 50;

/** Runs `work` while holding the lock `path`. Waits for another holder until `signal` aborts. */
export async function withLock<T>(path: string, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
  const token = JSON.stringify({ pid: process.pid, host: hostname(), id: randomUUID() });
  await makeFolder(dirname(path));
  while (!(await tryLock(path, token))) {
    if (await isAbandoned(path)) await takeAway(path);
    else await sleep(POLL_MS, undefined, signal ? { signal } : {}).catch(() => signal?.throwIfAborted());
  }
  const touching = setInterval(() => {
    utimes(path, new Date(), new Date()).catch(() => {}); // gone only if it was taken over
  }, TOUCH_MS);
  touching.unref();
  try {
    signal?.throwIfAborted();
    return await work();
  } finally {
    clearInterval(touching);
    if ((await readToken(path)) === token) await rm(path, { force: true });
  }
}

/** Whether a living process holds the lock `path`. */
export async function isLocked(path: string): Promise<boolean> {
  return (await readToken(path)) !== undefined && !(await isAbandoned(path));
}

/** Removes the lock `path` if its holder is gone. */
export async function releaseAbandoned(path: string): Promise<void> {
  if (await isAbandoned(path)) await takeAway(path);
}

async function tryLock(path: string, token: string): Promise<boolean> {
  try {
    await writeFile(path, token, { flag: "wx" });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

async function isAbandoned(path: string): Promise<boolean> {
  const token = await readToken(path);
  const touched = await stat(path).catch(() => undefined);
  if (token === undefined || touched === undefined) return false; // released meanwhile
  if (Date.now() - touched.mtimeMs > ABANDONED_MS) return true;
  const holder = holderOf(token);
  return holder !== undefined && holder.host === hostname() && !isAlive(holder.pid);
}

/** `undefined` in the moment between a lock's creation and its writing. */
function holderOf(token: string): { readonly pid: number; readonly host: string } | undefined {
  try {
    return JSON.parse(token) as { pid: number; host: string };
  } catch {
    return undefined;
  }
}

/** Removes an abandoned lock. Two may try at once: the second finds a living one in its hands and puts it back. */
async function takeAway(path: string): Promise<void> {
  const aside = `${path}.${randomUUID()}`;
  try {
    await rename(path, aside);
  } catch {
    return; // somebody was faster
  }
  const token = await readToken(aside);
  if (token !== undefined && !(await isAbandoned(aside))) await tryLock(path, token);
  await rm(aside, { force: true });
}

async function readToken(path: string): Promise<string | undefined> {
  return readFile(path, "utf8").catch(() => undefined);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM"; // another user's
  }
}
