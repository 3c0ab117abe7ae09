/**
 * Several data sets as one, each with its share: every sample is a draw of a data set by weight, then of one of its
 * samples, with replacement.
 *
 * reference  kakaobrain/honeybee `MultiDataset` (the choice for a drawn number is numpy's `choice`; the draws are ours)
 */
import { checkOptions, DataError, wholeFrom } from "./data-error.ts";
import type { Dataset } from "./dataset.ts";
import { RandomStream } from "./scenes/random-stream.ts";
import { epochSeed, MIXTURE } from "./stream.ts";

export interface MixturePart {
  readonly dataset: Dataset;
  /** Any number above 0; shares are weights over their sum. */
  readonly weight: number;
}

export interface MixtureOptions {
  /** Samples of an epoch. Default: of all parts together. */
  readonly length?: number;
  readonly seed: number;
}

/** Draws anew in every epoch. Read it in "sequential" order: it is in random order as it is. */
export function mixture(parts: readonly MixturePart[], options: MixtureOptions): Dataset {
  const { length = parts.reduce((sum, { dataset }) => sum + dataset.length, 0), seed } = options;
  checkOptions(
    "mixture",
    options,
    ["length", "seed"],
    [
      parts.length > 0 ? null : "expected at least one part.",
      ...parts.map(({ dataset, weight }) =>
        weight > 0 && weight < Infinity ? null : `${dataset.name}: weight: expected a number above 0, got ${weight}.`,
      ),
      ...parts.map(({ dataset }) => (dataset.length > 0 ? null : `${dataset.name} is empty.`)),
      wholeFrom(1, "length", length),
      wholeFrom(0, "seed", seed),
    ],
  );
  const weights = parts.map(({ weight }) => weight);
  const draw = (index: number, epoch: number): { readonly dataset: Dataset; readonly at: number } => {
    const random = new RandomStream(epochSeed(seed, epoch), MIXTURE, index);
    const part = parts[chosenPart(weights, random.between(0, 1))];
    if (part === undefined) throw new DataError("option", "mixture: no part was drawn.");
    return { dataset: part.dataset, at: random.below(part.dataset.length) };
  };
  return {
    name: parts.map(({ dataset }) => dataset.name).join(" + "),
    length,
    async sample(index, epoch = 0) {
      const { dataset, at } = draw(index, epoch);
      return dataset.sample(at, epoch);
    },
  };
}

/** The first part whose share, added to those before, exceeds `u` of [0, 1). */
export function chosenPart(weights: readonly number[], u: number): number {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  let sum = 0;
  const chosen = weights.findIndex((weight) => {
    sum += weight / total;
    return u < sum;
  });
  return chosen < 0 ? weights.length - 1 : chosen; // shares add up to 1 only but for rounding
}
