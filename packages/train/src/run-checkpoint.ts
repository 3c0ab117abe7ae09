/**
 * A run's checkpoints: one safetensors file each, written beside its place, flushed and renamed, so that a run that is
 * killed at any moment has the one before.
 *
 *     parameter.<path>      what learns in the present stage
 *     earlier.<path>        what learnt in earlier stages and is frozen now
 *     <state>.<path>        the optimiser's tensors: exp_avg, exp_avg_sq, momentum_buffer
 *     metadata.waggle       where the run stands, as JSON
 */
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { type NamedTensor, openSafetensors, type TensorEntry, writeSafetensors } from "@waggle/checkpoint";
import { TrainingError } from "./training-error.ts";

/** Where a run stands. Random numbers are drawn from seed and step, so they have no state of their own. */
export interface RunPosition {
  /** What was asked for; a run is only resumed with the same. */
  readonly fingerprint: string;
  /** Optimiser steps over all stages. */
  readonly step: number;
  readonly stage: number;
  readonly stageStep: number;
  readonly data: { readonly epoch: number; readonly position: number };
  /** Lowest so far, and of which step; of the validation set, or of training since the checkpoint before. */
  readonly best: { readonly step: number; readonly loss: number } | null;
}

const NAME = /^step-(\d+)\.safetensors$/;
/** What is left of one that was being written when its process was killed. */
const HALF = /^\.step-\d+\.safetensors\..*\.tmp$/;

export class RunCheckpoints {
  readonly folder: string;
  readonly #keep: number;

  constructor(folder: string, keep: number) {
    this.folder = folder;
    this.#keep = keep;
  }

  pathOf(step: number): string {
    return join(this.folder, `step-${String(step).padStart(8, "0")}.safetensors`);
  }

  /** Writes a checkpoint; then removes those that are neither among the last ones nor the best. */
  async save(position: RunPosition, tensors: Iterable<NamedTensor>): Promise<string> {
    const path = this.pathOf(position.step);
    for (const name of await this.#names()) if (HALF.test(name)) await rm(join(this.folder, name), { force: true });
    await writeSafetensors(path, tensors, { metadata: { format: "pt", waggle: JSON.stringify(position) } });
    const steps = await this.#steps();
    const kept = new Set([...steps.slice(-this.#keep), position.best?.step]);
    for (const step of steps) if (!kept.has(step)) await rm(this.pathOf(step), { force: true });
    return path;
  }

  /** The newest checkpoint; null where there is none. */
  async latest(): Promise<{
    readonly path: string;
    readonly position: RunPosition;
    readonly tensors: ReadonlyMap<string, TensorEntry>;
  } | null> {
    const step = (await this.#steps()).at(-1);
    if (step === undefined) return null;
    const path = this.pathOf(step);
    const { metadata, tensors } = await openSafetensors(path).catch((cause: unknown) => {
      const what = cause instanceof Error ? cause.message : String(cause);
      throw new TrainingError("checkpoint", `${what} Remove the file to go on from the checkpoint before it.`, { path }, { cause });
    });
    if (metadata.waggle === undefined)
      throw new TrainingError("checkpoint", `${path}: is no checkpoint of a run: its header has no "waggle" entry.`, { path });
    return { path, position: JSON.parse(metadata.waggle) as RunPosition, tensors };
  }

  async #steps(): Promise<readonly number[]> {
    return (await this.#names()).flatMap((name) => (NAME.test(name) ? [Number(NAME.exec(name)?.[1])] : [])).sort((a, b) => a - b);
  }

  #names(): Promise<readonly string[]> {
    return readdir(this.folder).catch(() => []);
  }
}
