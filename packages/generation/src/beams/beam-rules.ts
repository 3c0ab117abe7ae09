/** How a beam search goes on and when it is over: what the releases of transformers do differently. */

/** A way to go on: a beam and one more token. `score` is the sum of the log-probabilities (as the rules left them). */
export interface Candidate {
  readonly beam: number;
  /** The answer so far, the new token included. */
  readonly ids: readonly number[];
  readonly score: number;
}

/** A complete answer; `score` is divided by its length to the power of length_penalty. */
export interface Hypothesis {
  readonly ids: readonly number[];
  readonly score: number;
}

export interface BeamFacts {
  readonly num_beams: number;
  readonly length_penalty: number;
  readonly early_stopping: boolean | "never";
  /** Tokens that the answer may have. */
  readonly maxNewTokens: number;
  /** Is this answer complete? */
  readonly ends: (ids: readonly number[]) => boolean;
  /** Do all beams end at once, so that the search is over? */
  readonly allEnd: (answers: readonly (readonly number[])[]) => boolean;
}

export interface BeamRules {
  /** Of the candidates (in the order in which they were chosen) those to go on from; null when the search is over. */
  advance(candidates: readonly Candidate[]): readonly Candidate[] | null;
  /** The complete answers so far, best first. */
  readonly finished: readonly Hypothesis[];
}

/** What takes a candidate out of the running: more than any sum of log-probabilities. */
export const outOfTheRunning = -1e9;

/** The `count` best, of equal ones the earlier. */
export function best<T extends { readonly score: number }>(of: readonly T[], count: number): readonly T[] {
  return [...of].sort((a, b) => b.score - a.score).slice(0, count);
}
