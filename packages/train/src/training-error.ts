export type TrainingErrorCode =
  /** NaN or infinity in loss or gradient. */
  | "not-finite"
  /** Every label of a step is masked. */
  | "no-targets"
  /** A parameter was neither loaded nor initialised. */
  | "no-values"
  /** The run's folder is in use, or another run's. */
  | "folder"
  /** A checkpoint that is not this run's. */
  | "checkpoint";

/** What went wrong in training. Parameters and files are as they were before. */
export class TrainingError extends Error {
  override readonly name = "TrainingError";
  readonly code: TrainingErrorCode;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: TrainingErrorCode, message: string, details: Readonly<Record<string, unknown>> = {}, options: ErrorOptions = {}) {
    super(message, options);
    this.code = code;
    this.details = details;
  }
}
