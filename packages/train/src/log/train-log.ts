/** What follows a run: a line in the terminal, files, a page. */
import type { TrainEvent } from "./train-event.ts";

export interface TrainLog {
  write(event: TrainEvent): void | Promise<void>;
  /** Leaves files whole, whatever the run came to. */
  close(): void | Promise<void>;
}

/** One log that hands every event to several, in order. All are closed, even if one of them cannot be. */
export function logs(...all: readonly TrainLog[]): TrainLog {
  return {
    async write(event) {
      for (const log of all) await log.write(event);
    },
    async close() {
      const closed = await Promise.allSettled(all.map(async (log) => log.close()));
      for (const result of closed) if (result.status === "rejected") throw result.reason;
    },
  };
}
