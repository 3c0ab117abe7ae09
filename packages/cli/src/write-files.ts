import { relative } from "node:path";
import type { Progress } from "@waggle/mllm";
import { interruptible } from "./interruptible.ts";
import { progressDisplay } from "./progress-bar.ts";

/** What takes long enough to be watched, and interrupted. */
interface Watched {
  readonly signal: AbortSignal;
  readonly onProgress: (progress: Progress) => void;
}

/** Writes files with a progress bar and prints their names; Ctrl-C aborts, which leaves nothing behind. */
export async function writeFiles(write: (options: Watched) => Promise<readonly string[]>): Promise<void> {
  const { onProgress, stop } = progressDisplay();
  const files = await interruptible((signal) => write({ signal, onProgress })).finally(stop);
  process.stdout.write(files.map((file) => `${nameOf(file)}\n`).join(""));
}

/** As seen from the working folder, where that is shorter. */
function nameOf(file: string): string {
  const name = relative("", file);
  return name.startsWith("..") ? file : name;
}
