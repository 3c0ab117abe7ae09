import { GenerationError } from "./generation-error.ts";
import { survivors } from "./logits/distribution.ts";
import type { LogitsProcessor } from "./logits/logits-processor.ts";
import type { RandomNumbers } from "./random.ts";

/** Chooses the next token of one sequence from a row of logits; the row is used up. */
export interface Sampler {
  next(logits: Float32Array, ids: readonly number[]): number;
}

/** The best token; of equal ones the lowest id. */
export function greedySampler(processors: readonly LogitsProcessor[]): Sampler {
  return {
    next(logits, ids) {
      for (const processor of processors) processor.process(logits, ids);
      let best = -1;
      let bestScore = -Infinity;
      for (let id = 0; id < logits.length; id++) {
        const score = logits[id] ?? Number.NaN;
        if (Number.isNaN(score)) throw unusable("NaN");
        if (best < 0 || score > bestScore) {
          best = id;
          bestScore = score;
        }
      }
      if (bestScore === -Infinity) throw unusable("no token left");
      return best;
    },
  };
}

/** A draw from the distribution that the processors leave: one random number, walked along the ids from the lowest. */
export function randomSampler(processors: readonly LogitsProcessor[], random: RandomNumbers): Sampler {
  return {
    next(logits, ids) {
      for (const processor of processors) processor.process(logits, ids);
      const row = survivors(logits);
      if (row.ids.length === 0) throw unusable("no token left");
      const drawn = random.next();
      let cumulative = 0;
      let last = -1;
      for (let i = 0; i < row.ids.length; i++) {
        const p = row.probabilities[i] ?? Number.NaN;
        if (Number.isNaN(p)) throw unusable("NaN or infinity");
        cumulative += p;
        if (p > 0) last = row.ids[i] ?? -1;
        if (drawn < cumulative) break;
      }
      return last;
    },
  };
}

export function unusable(what: string): GenerationError {
  return new GenerationError(
    "scores",
    `the scores of the next token have ${what}: the options forbid every token, or the checkpoint's weights are broken ` +
      "(remove_invalid_values: true goes on regardless of NaN).",
  );
}
