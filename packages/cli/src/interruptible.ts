/** npx sends Ctrl-C on to a process that has it from the terminal already. What comes within these milliseconds is the same key. */
const SAME_KEY = 1000;

/** Ctrl-C, and what a scheduler or a container sends before it kills. */
const signals = ["SIGINT", "SIGTERM"] as const;

/**
 * Runs what can be stopped in order: Ctrl-C or SIGTERM aborts `signal` with `reason`, and so does a reader of stdout that has
 * enough (`waggle … | head`). A second one ends the process at once.
 */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>, reason?: Error): Promise<T> {
  const controller = new AbortController();
  let since = 0;
  const stop = (): void => {
    since = performance.now();
    controller.abort(reason);
  };
  const interrupt = (name: NodeJS.Signals): void => {
    if (!controller.signal.aborted) stop();
    else if (performance.now() - since >= SAME_KEY) {
      process.off(name, interrupt);
      process.kill(process.pid, name);
    }
  };
  const unread = ({ code }: NodeJS.ErrnoException): void => {
    if (code === "EPIPE" && !controller.signal.aborted) stop();
  };
  for (const name of signals) process.on(name, interrupt);
  process.stdout.on("error", unread);
  try {
    return await work(controller.signal);
  } finally {
    // Once aborted both stay until the process has ended: the same key, or the same closed pipe, may be heard of again.
    if (!controller.signal.aborted) {
      for (const name of signals) process.off(name, interrupt);
      process.stdout.off("error", unread);
    }
  }
}
