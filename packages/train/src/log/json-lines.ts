/** Optimiser steps as JSON lines: `{ step, stage, loss, gradNorm, lr, tokensPerSecond, waitMs }`. */
import { type FileHandle, mkdir, open, readFile } from "node:fs/promises";
import { dirname } from "node:path";
import type { StepRecord } from "../step-record.ts";
import { TrainingError } from "../training-error.ts";
import type { TrainEvent } from "./train-event.ts";
import type { TrainLog } from "./train-log.ts";

const LF = 10;
const BEGINNING = '{"step":';

/** One step as a line, with its line feed. */
export function stepLine({ step, stage, loss, gradNorm, lr, tokensPerSecond, waitMs }: StepRecord): string {
  return `${JSON.stringify({ step, stage, loss, gradNorm, lr, tokensPerSecond, waitMs })}\n`;
}

/**
 * Appends every step to a file. A run that resumes at step n finds its file cut behind that step: what came after the
 * checkpoint is computed again, and a half-written last line goes with it.
 */
export class JsonLines implements TrainLog {
  readonly #path: string;
  #file: FileHandle | null = null;

  constructor(path: string) {
    this.#path = path;
  }

  async write(event: TrainEvent): Promise<void> {
    if (event.type === "start") await this.#open(event.step);
    if (event.type === "step") await this.#file?.appendFile(stepLine(event.record));
  }

  async close(): Promise<void> {
    await this.#file?.close();
    this.#file = null;
  }

  async #open(step: number): Promise<void> {
    await this.close();
    await mkdir(dirname(this.#path), { recursive: true });
    const file = await open(this.#path, "a");
    try {
      await file.truncate(await endOfStep(this.#path, step));
    } catch (error) {
      await file.close();
      throw error;
    }
    this.#file = file;
  }
}

/** Bytes of the lines as far as `step`. */
async function endOfStep(path: string, step: number): Promise<number> {
  const bytes = await readFile(path);
  let start = 0;
  for (let end = bytes.indexOf(LF); end >= 0; end = bytes.indexOf(LF, start)) {
    const found = stepOf(bytes.toString("utf8", start, end));
    if (found === null) throw foreign(path, start);
    if (found > step) return start;
    start = end + 1;
  }
  // A run that was killed may have left half a line.
  if (!BEGINNING.startsWith(bytes.toString("utf8", start, start + BEGINNING.length))) throw foreign(path, start);
  return start;
}

function stepOf(line: string): number | null {
  try {
    const { step } = JSON.parse(line) as { readonly step?: unknown };
    return typeof step === "number" ? step : null;
  } catch {
    return null;
  }
}

function foreign(path: string, at: number): TrainingError {
  const message = `${path}: expected lines of training steps, found something else at byte ${at}. Nothing was changed; give another file.`;
  return new TrainingError("folder", message, { path, at });
}
