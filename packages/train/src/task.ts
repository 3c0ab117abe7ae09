/** What a stage learns from: a loss, and the batches that feed it. `conversations` makes one from a dataset; anybody may write one. */
import type { DataPosition } from "@waggle/data";
import type { Assembly } from "@waggle/mllm";
import type { Module, Parameter } from "@waggle/nn";
import type { Resident, Runtime } from "@waggle/runtime";
import type { MicroBatch, Objective } from "./objective.ts";

export interface TaskContext {
  readonly model: Assembly;
  /** The model's modules, under the names by which `trainable` speaks of them. */
  readonly modules: Module;
  readonly trainable: ReadonlyMap<string, Parameter>;
  readonly runtime: Runtime;
  /** Where features of a frozen encoder are kept. */
  readonly featureCache: string;
  readonly signal: AbortSignal | undefined;
}

export interface BatchRequest {
  readonly batchSize: number;
  /** Batches of an optimiser step. Default 1. */
  readonly accumulation?: number;
  readonly seed: number;
  readonly order: "shuffled" | "length-grouped" | "sequential";
  readonly onBroken: "skip" | "stop";
  readonly start: DataPosition;
  /** Default: without end. */
  readonly epochs?: number;
}

export interface TaskBatch {
  readonly micro: MicroBatch;
  /** Where to go on behind this batch. */
  readonly next: DataPosition;
  /** Samples that were left out, and why. */
  readonly skipped: readonly { readonly id: string; readonly reason: string }[];
}

/** A sample as it is shown: what was asked, what the model answers now, what was expected. */
export interface PreviewText {
  /** An image file. */
  readonly image: Uint8Array | null;
  readonly prompt: string;
  readonly answer: string;
  readonly expected: string;
}

/** A task of which the model, and what of it learns, is known. */
export interface OpenTask {
  readonly objective: Objective;
  /** The same request gives the same batches. */
  batches(request: BatchRequest): AsyncIterable<TaskBatch>;
  /** What the model makes of the first `count` samples, with parameters that live where they are trained. */
  preview?(parameters: ReadonlyMap<string, Resident>, count: number): Promise<readonly PreviewText[]>;
  dispose(): void;
}

export interface Task {
  /** Names the data in the run's fingerprint. */
  readonly name: string;
  /** Samples of an epoch. */
  readonly length: number;
  /** Whether samples can be ordered by length before they are read; a stage that is "length-grouped" is refused where they cannot. */
  readonly measured?: boolean;
  open(context: TaskContext): Promise<OpenTask>;
}
