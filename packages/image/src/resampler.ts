/**
 * The main thread's side of worker/resample.mjs: one thread for the process, started by the first picture, which does not keep
 * the process alive when it has nothing to do. Jobs wait for one another; rows are copied over in bands of at most 1 MiB with
 * the event loop free in between.
 */
import { setImmediate } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { ImageError } from "./image-error.ts";
import type { Pass } from "./pass.ts";
import type { Picture } from "./picture.ts";
import { untilAborted } from "./until-aborted.ts";

export type Request =
  | {
      readonly kind: "start";
      readonly id: number;
      readonly outputs: readonly (readonly [Pass, ...Pass[]])[];
      /** [3, 256]: the value of every byte of every channel */
      readonly table: Float32Array;
      readonly bandRows: number;
    }
  | { readonly kind: "band"; readonly id: number; readonly firstRow: number; readonly rows: Uint8Array }
  | { readonly kind: "finish" | "cancel"; readonly id: number };

type Answer =
  | { readonly id: number; readonly values: Float32Array; readonly error?: never }
  | { readonly id: number; readonly error: string };

const BAND_BYTES = 1 << 20;

let worker: Worker | undefined;
let last: Promise<unknown> = Promise.resolve();
let lastId = 0;

/** The passes' results for one picture, normalised: [outputs.length, 3, H, W]. Rejects with `signal.reason` as soon as it aborts. */
export function resample(
  picture: Picture,
  outputs: readonly (readonly [Pass, ...Pass[]])[],
  table: Float32Array,
  signal: AbortSignal | undefined,
): Promise<Float32Array> {
  const job = last.then(() => run(picture, outputs, table, signal));
  last = job.catch(() => undefined);
  return untilAborted(job, signal);
}

async function run(
  picture: Picture,
  outputs: readonly (readonly [Pass, ...Pass[]])[],
  table: Float32Array,
  signal: AbortSignal | undefined,
): Promise<Float32Array> {
  signal?.throwIfAborted();
  worker ??= start();
  const thread = worker;
  const id = ++lastId;
  const rowBytes = picture.width * 3;
  const bandRows = Math.min(picture.height, Math.max(1, Math.floor(BAND_BYTES / rowBytes)));
  const { first, end } = rowsRead(outputs, picture.height);
  const answer = answerOf(thread, id);
  try {
    thread.postMessage({ kind: "start", id, outputs, table, bandRows } satisfies Request);
    for (let firstRow = first; firstRow < end; firstRow += bandRows) {
      const rows = new Uint8Array(picture.data.subarray(firstRow * rowBytes, Math.min(end, firstRow + bandRows) * rowBytes));
      thread.postMessage({ kind: "band", id, firstRow, rows } satisfies Request, [rows.buffer]);
      await Promise.race([setImmediate(), answer.promise]);
      signal?.throwIfAborted();
    }
    thread.postMessage({ kind: "finish", id } satisfies Request);
    return await untilAborted(answer.promise, signal);
  } catch (error) {
    thread.postMessage({ kind: "cancel", id } satisfies Request);
    throw error;
  } finally {
    answer.release();
  }
}

/** The rows of the picture that any of the outputs needs. */
function rowsRead(outputs: readonly (readonly [Pass, ...Pass[]])[], height: number): { first: number; end: number } {
  const used = outputs.map(([pass]) => pass).filter((pass) => pass.rows > 0);
  const first = Math.min(height, ...used.map(({ firstRow, canvas }) => firstRow - canvas.top));
  const end = Math.max(0, ...used.map(({ firstRow, rows, canvas }) => firstRow + rows - canvas.top));
  return { first: Math.max(0, first), end: Math.min(height, end) };
}

/** Keeps the thread's answer to job `id`, and the process alive until it is released. */
function answerOf(thread: Worker, id: number): { promise: Promise<Float32Array>; release: () => void } {
  const { promise, resolve, reject } = settled<Float32Array>();
  const onMessage = (answer: Answer): void => {
    if (answer.id !== id) return;
    if (answer.error === undefined) resolve(answer.values);
    else reject(new ImageError("worker", `The resampling thread failed: ${answer.error}`));
  };
  const onError = (error: unknown): void => {
    reject(new ImageError("worker", `The resampling thread crashed: ${String(error)}`, {}, { cause: error }));
  };
  const onExit = (code: number): void => onError(`exit code ${code}`);
  promise.catch(() => undefined); // it may fail after an abort, when nobody waits for it any more
  thread.on("message", onMessage).on("error", onError).on("exit", onExit).ref();
  const release = (): void => {
    thread.off("message", onMessage).off("error", onError).off("exit", onExit).unref();
  };
  return { promise, release };
}

function settled<T>(): { promise: Promise<T>; resolve: (value: T) => void; reject: (error: unknown) => void } {
  let resolve: (value: T) => void = () => undefined;
  let reject: (error: unknown) => void = () => undefined;
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}

function start(): Worker {
  // Without execArgv the thread would inherit flags like --input-type, with which no worker starts.
  const thread = new Worker(new URL("../worker/resample.mjs", import.meta.url), { name: "waggle-image", execArgv: [] });
  const gone = (): void => {
    if (worker === thread) worker = undefined;
  };
  thread.on("error", gone).on("exit", gone).unref();
  return thread;
}
