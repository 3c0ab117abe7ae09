/**
 * Whose meaning the options have. Releases of transformers agree, but for these points; authors' published numbers come
 * from the release that they pinned.
 *
 *     a hidden prompt       is one that the model gets as embeddings, as models with pictures do; the rules see no ids of it
 *     maxLengthCountsIt     max_length counts a hidden prompt too
 *     minLengthCountsIt     min_length does
 *     beams                 "vectorized": one pass over all candidates (5.x)
 *                           "scorer": BeamSearchScorer, where an end token is no candidate for going on, and a hypothesis
 *                           without one competes only when the search is over
 *     scoredLength          what a hypothesis' score is divided by: the answer's tokens, or the prompt's visible ids too
 *     warpsSums             beam sampling shapes the distribution of whole beams, not of their next tokens
 */
export const semantics = {
  newest: { maxLengthCountsIt: true, minLengthCountsIt: true, beams: "vectorized", scoredLength: "answer", warpsSums: false },
  "4.38": { maxLengthCountsIt: true, minLengthCountsIt: false, beams: "scorer", scoredLength: "answer", warpsSums: false },
  "4.36": { maxLengthCountsIt: false, minLengthCountsIt: false, beams: "scorer", scoredLength: "answer", warpsSums: false },
  "4.30": { maxLengthCountsIt: false, minLengthCountsIt: false, beams: "scorer", scoredLength: "whole", warpsSums: true },
} as const;

export type Semantics = keyof typeof semantics;
