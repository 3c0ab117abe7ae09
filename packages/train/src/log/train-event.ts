/** What a run tells those who watch it, in order. */
import type { StepRecord } from "../step-record.ts";

export type TrainEvent =
  | {
      readonly type: "start";
      readonly stages: readonly { readonly name: string; readonly steps: number }[];
      readonly totalSteps: number;
      /** Steps that a resumed run has behind itself. */
      readonly step: number;
    }
  | { readonly type: "step"; readonly record: StepRecord /** All steps of the run. */; readonly of: number }
  /** What the model answers now. */
  | {
      readonly type: "sample";
      readonly step: number;
      /** An image file (PNG, JPEG, …). */
      readonly image: Uint8Array | null;
      readonly prompt: string;
      readonly answer: string;
      readonly expected: string;
    }
  | { readonly type: "validation"; readonly step: number; readonly loss: number }
  /** A broken sample was left out. */
  | { readonly type: "skipped"; readonly id: string; readonly reason: string }
  | { readonly type: "checkpoint"; readonly step: number; readonly path: string }
  | { readonly type: "end"; readonly step: number; readonly loss: number /** The folder of what was learnt. */; readonly path: string };
