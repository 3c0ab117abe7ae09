import type { Sample } from "./sample.ts";

/** Samples by number. Nothing is read before it is asked for. */
export interface Dataset {
  /** Names it in reports. */
  readonly name: string;
  readonly length: number;
  /**
   * `epoch` lets a dataset draw anew in each (an instruction out of several); the same two numbers give the same sample.
   * @throws DataError for a broken sample, which `batches` skips or stops at
   */
  sample(index: number, epoch?: number): Sample | Promise<Sample>;
  /** How long a sample is, about, and whether it shows pictures; what length grouping goes by. */
  lengthOf?(index: number): SampleLength;
}

export interface SampleLength {
  /** In words. */
  readonly length: number;
  readonly multimodal: boolean;
}
