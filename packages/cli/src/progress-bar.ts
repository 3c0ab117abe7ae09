import type { Progress } from "@waggle/mllm";
import { Presets, SingleBar } from "cli-progress";

const label: Readonly<Record<Progress["phase"], string>> = {
  download: "downloading",
  cached: "hub not reachable, using the cache",
  convert: "converting weights",
  write: "writing",
  load: "loading",
};

export interface ProgressDisplay {
  readonly onProgress: (progress: Progress) => void;
  /** Takes the bar off the screen. */
  stop(): void;
}

/** A bar on stderr for whatever takes longer than a moment; nothing where stderr is not a terminal. */
export function progressDisplay(stream: NodeJS.WriteStream = process.stderr): ProgressDisplay {
  if (!stream.isTTY) return { onProgress: () => {}, stop: () => {} };
  const bar = new SingleBar(
    { stream, format: "{label} {bar} {percentage}% {file}", clearOnComplete: true, hideCursor: true, etaBuffer: 50 },
    Presets.shades_classic,
  );
  let running: string | null = null;
  return {
    onProgress({ phase, file, loaded, total }) {
      if (total === 0) return;
      const shown = { label: label[phase], file };
      if (running !== phase) {
        bar.stop();
        bar.start(total, loaded, shown);
        running = phase;
      }
      bar.setTotal(total);
      bar.update(loaded, shown);
    },
    stop() {
      bar.stop();
      running = null;
    },
  };
}
