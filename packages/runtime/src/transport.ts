/** The two ways to an executor: in a worker thread, and in this one. */
import { Worker } from "node:worker_threads";
import type { Answer, ExecutorModule, JobMessage, JobQueue } from "./protocol.ts";

export interface Transport {
  post(message: JobMessage, transfer: readonly ArrayBuffer[]): void;
  /** Whether the process has to wait for what is going on here. */
  keepAlive(busy: boolean): void;
  /** Ends the thread, if there is one. */
  end(): void;
}

export interface Listener {
  answered(answer: Answer): void;
  crashed(reason: unknown): void;
}

export type TransportFactory = (listener: Listener) => Transport;

// The same relative path from src/ and from dist/.
const WORKER = new URL("../worker/worker.mjs", import.meta.url);
const QUEUE = new URL("../worker/job-queue.mjs", import.meta.url);

/** `script` is a parameter so that a test can see what happens when a thread dies. */
export function workerTransport(listener: Listener, script: URL = WORKER): Transport {
  const worker = new Worker(script, { execArgv: [] }); // not the loaders of this process: the worker is plain JavaScript
  worker.unref();
  worker.on("message", (answer: Answer) => listener.answered(answer));
  worker.on("error", (error) => listener.crashed(error));
  worker.on("exit", (code) => listener.crashed(new Error(`the worker thread exited with code ${code}`)));
  return {
    post: (message, transfer) => worker.postMessage(message, transfer),
    keepAlive: (busy) => (busy ? worker.ref() : worker.unref()),
    end: () => void worker.terminate(),
  };
}

export function inlineTransport(listener: Listener): Transport {
  // Imported when it is first needed: a program that only uses workers never loads ONNX Runtime into its main thread.
  const queue: Promise<JobQueue> = import(QUEUE.href).then(({ createQueue }: ExecutorModule) =>
    createQueue(
      (answer) => listener.answered(answer),
      () => undefined,
    ),
  );
  queue.catch((error: unknown) => listener.crashed(error));
  return {
    post: (message) =>
      void queue.then(
        (found) => found.accept(message),
        () => {},
      ),
    keepAlive: () => {},
    end: () => {},
  };
}
