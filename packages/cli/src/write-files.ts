import type { Progress } from "@waggle/mllm";
import { progressDisplay } from "./progress-bar.ts";

/** What takes long enough to be watched, and interrupted. */
interface Watched {
  readonly signal: AbortSignal;
  readonly onProgress: (progress: Progress) => void;
}

/** Writes files with a progress bar and prints their names; Ctrl-C aborts, which leaves nothing behind. */
export async function writeFiles(write: (options: Watched) => Promise<readonly string[]>): Promise<void> {
  const { onProgress, stop } = progressDisplay();
  const controller = new AbortController();
  const interrupt = (): void => controller.abort();
  process.once("SIGINT", interrupt);
  const files = await write({ signal: controller.signal, onProgress }).finally(() => {
    process.off("SIGINT", interrupt);
    stop();
  });
  process.stdout.write(files.map((file) => `${file}\n`).join(""));
}
