/** What is said about one optimiser step. The field names are those of the JSON lines. */
export interface StepRecord {
  /** From 1, over all stages. */
  readonly step: number;
  readonly stage: string;
  readonly loss: number;
  /** Global L2 norm before clipping. */
  readonly gradNorm: number;
  /** The optimiser's own; groups that have another follow the same schedule. */
  readonly lr: number;
  readonly tokensPerSecond: number;
  /** How long the step waited for data. */
  readonly waitMs: number;
}
