/**
 * One blob: fetched into `<blob>.incomplete`, which survives an interruption and is continued, by us or by Python's
 * huggingface_hub, with a Range request; then checked, flushed and renamed.
 */
import { createHash } from "node:crypto";
import { constants, createReadStream } from "node:fs";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { syncFolder, writeFully } from "./atomic-file.ts";
import { sizeOf } from "./hub-cache.ts";
import { type HubClient, isBusy, type RemoteFile } from "./hub-client.ts";
import { HubError } from "./hub-error.ts";
import { makeFolder } from "./make-folder.ts";

// Tries in a row that bring nothing new before we give up.
const FRUITLESS_TRIES = 5;
const FIRST_PAUSE_MS = 100;
const STALLED_MS = 60_000;

type OnBytes = (loaded: number) => void;

/** Makes `blob` exist. `onBytes` hears how many bytes of it are on the disk. */
export async function downloadBlob(
  client: HubClient,
  file: RemoteFile,
  blob: string,
  signal: AbortSignal,
  onBytes: OnBytes,
): Promise<void> {
  const incomplete = `${blob}.incomplete`;
  await makeFolder(dirname(blob));
  const handle = await open(incomplete, constants.O_RDWR | constants.O_CREAT);
  try {
    await fetchAll(client, file, handle, signal, onBytes);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await verify(client, file, incomplete, signal);
  await rename(incomplete, blob);
  await syncFolder(dirname(blob));
}

async function fetchAll(client: HubClient, file: RemoteFile, handle: FileHandle, signal: AbortSignal, onBytes: OnBytes): Promise<void> {
  let fruitless = 0;
  for (;;) {
    const have = (await handle.stat()).size;
    onBytes(have);
    if (have === file.size) return;
    let reason: unknown;
    try {
      if (await fetchRest(client, file, handle, have, signal, onBytes)) return;
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof HubError && error.code !== "unreachable") throw error;
      reason = error;
    }
    fruitless = (await handle.stat()).size > have ? 0 : fruitless + 1;
    if (fruitless === FRUITLESS_TRIES) throw client.unreachable(reason ?? new Error("no new data"), file.path);
    await sleep(FIRST_PAUSE_MS * 2 ** fruitless, undefined, { signal }).catch(() => signal.throwIfAborted());
  }
}

/** One request for what is missing. True when the file is known to be complete. */
async function fetchRest(
  client: HubClient,
  file: RemoteFile,
  handle: FileHandle,
  have: number,
  signal: AbortSignal,
  onBytes: OnBytes,
): Promise<boolean> {
  const stalled = new AbortController();
  const timer = setTimeout(() => stalled.abort(new Error(`no data for ${STALLED_MS / 1000} s`)), STALLED_MS);
  try {
    const answer = await client.fetchFrom(file, have, AbortSignal.any([signal, stalled.signal]));
    const plan = planOf(client, file, answer, have);
    if (plan === "again" || plan === "complete") {
      await answer.body?.cancel();
      if (plan === "again") await handle.truncate(0);
      return plan === "complete";
    }
    if (plan.start === 0) await handle.truncate(0);
    let position = plan.start;
    for await (const bytes of answer.body ?? []) {
      timer.refresh();
      if (plan.size !== undefined && position + bytes.byteLength > plan.size) throw tooMuch(client, file, plan.size);
      await writeFully(handle, bytes, position);
      position += bytes.byteLength;
      onBytes(position);
    }
    return plan.size === undefined || position === plan.size;
  } finally {
    clearTimeout(timer);
  }
}

/** What the status line and the headers promise: where the body begins, and how large the file is. */
function planOf(
  client: HubClient,
  file: RemoteFile,
  { status, headers }: Response,
  have: number,
): { readonly start: number; readonly size: number | undefined } | "again" | "complete" {
  const range = /^bytes (?:(\d+)-\d+|\*)\/(\d+)$/.exec(headers.get("content-range") ?? "");
  const total = range?.[2] === undefined ? undefined : Number(range[2]);
  if (status === 416) return total === have && have === (file.size ?? have) ? "complete" : "again";
  if (isBusy(status)) throw client.unreachable(new Error(`status ${status}`), file.path);
  if (status >= 400) throw client.statusError(status, file.path);
  if (status === 206) {
    if (Number(range?.[1] ?? Number.NaN) !== have) return "again"; // not the range that was asked for
    return { start: have, size: checkedSize(client, file, total) };
  }
  if (status !== 200) throw client.statusError(status, file.path);
  const length = headers.get("content-encoding") === null ? headers.get("content-length") : null;
  return { start: 0, size: checkedSize(client, file, length === null ? undefined : Number(length)) };
}

function checkedSize(client: HubClient, file: RemoteFile, size: number | undefined): number | undefined {
  if (size !== undefined && file.size !== undefined && size !== file.size) {
    throw client.error("size_mismatch", `was announced with ${file.size} bytes, the hub sends ${size}.`, file.path);
  }
  return size ?? file.size;
}

function tooMuch(client: HubClient, file: RemoteFile, size: number): HubError {
  return client.error("size_mismatch", `was announced with ${size} bytes, the hub sends more.`, file.path);
}

async function verify(client: HubClient, file: RemoteFile, path: string, signal: AbortSignal): Promise<void> {
  const size = await sizeOf(path);
  if (file.size !== undefined && size !== file.size) {
    await rm(path, { force: true });
    throw client.error("size_mismatch", `was announced with ${file.size} bytes, ${size} arrived.`, file.path);
  }
  if (file.sha256 === undefined) return;
  const hash = createHash("sha256");
  for await (const bytes of createReadStream(path, { signal, highWaterMark: 2 ** 20 })) hash.update(bytes as Buffer);
  const found = hash.digest("hex");
  if (found === file.sha256) return;
  await rm(path, { force: true }); // continuing it would repeat the damage
  throw client.error("corrupt", `its content has SHA-256 ${found}, the hub announced ${file.sha256}. Try again.`, file.path);
}
