import { existsSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { rejection, temporaryFolder } from "../test/files.ts";
import { isLocked, withLock } from "./file-lock.ts";

const lockPath = (): string => join(temporaryFolder(), "a/b.lock");
const token = (pid: number, host = hostname()): string => JSON.stringify({ pid, host, id: "x" });
const NOBODY = 2 ** 22 + 1; // beyond the largest process number of Linux and macOS

test("only one is inside at a time, and all get in", async () => {
  const path = lockPath();
  let [inside, most, done] = [0, 0, 0];
  const work = async (): Promise<void> => {
    inside += 1;
    most = Math.max(most, inside);
    await sleep(5);
    inside -= 1;
    done += 1;
  };
  await Promise.all(Array.from({ length: 8 }, () => withLock(path, undefined, work)));
  expect([most, done]).toEqual([1, 8]);
  expect(existsSync(path)).toBe(false);
});

test("is released when the work fails", async () => {
  const path = lockPath();
  const error = new Error("no");
  expect(await rejection(withLock(path, undefined, () => Promise.reject(error)))).toBe(error);
  expect(await withLock(path, undefined, async () => 7)).toBe(7);
});

test("waiting ends with the signal", async () => {
  const path = lockPath();
  await withLock(path, undefined, async () => {
    const reason = new Error("enough");
    const abort = new AbortController();
    setTimeout(() => abort.abort(reason), 20);
    expect(await rejection(withLock(path, abort.signal, async () => 0))).toBe(reason);
    expect(await isLocked(path)).toBe(true);
  });
});

test.each([
  ["whose process is gone", token(NOBODY), 0],
  ["of another machine that was not touched for long", token(1, "elsewhere"), 60],
  ["of this process's number that was not touched for long", token(process.pid), 60],
  ["that nobody finished to write", "", 60],
])("a lock %s is taken over", async (_, content, secondsAgo) => {
  const path = join(temporaryFolder(), "x.lock");
  writeFileSync(path, content);
  const then = Date.now() / 1000 - secondsAgo;
  utimesSync(path, then, then);
  expect(await isLocked(path)).toBe(false);
  expect(await withLock(path, undefined, async () => readFileSync(path, "utf8"))).toContain(`"pid":${process.pid}`);
});

test("a fresh lock of another machine is respected", async () => {
  const path = join(temporaryFolder(), "x.lock");
  writeFileSync(path, token(NOBODY, "elsewhere"));
  expect(await isLocked(path)).toBe(true);
  expect(await rejection(withLock(path, AbortSignal.timeout(200), async () => 0))).toMatchObject({ name: "TimeoutError" });
  expect(readFileSync(path, "utf8")).toBe(token(NOBODY, "elsewhere"));
});
