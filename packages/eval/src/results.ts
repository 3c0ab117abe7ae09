/**
 * What a lab found, as `results.json` holds it. Everything in the report and in the table follows from this file (and from
 * the drawings beside it), so whoever has it can count again.
 */
import { randomUUID } from "node:crypto";
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { readJson } from "@waggle/checkpoint";
import { parseConfig } from "@waggle/nn";
import { z } from "zod";

export interface LabResults {
  readonly version: 1;
  /** Names, in the order of the spec. */
  readonly projectors: readonly string[];
  /** Numbers of visual tokens that were asked for. */
  readonly tokens: readonly number[];
  readonly seeds: number;
  /** N of the base's vision encoder. */
  readonly patches: number;
  /** The held questions, in the order of the digits of every trial. */
  readonly questions: readonly AskedQuestion[];
  /** A digit for each question: 1 where whoever reads questions only guesses right. */
  readonly textOnly: string;
  readonly trials: readonly TrialResult[];
  /** What projectors looked at. */
  readonly maps: readonly LabMap[];
}

export interface AskedQuestion {
  readonly family: string;
  readonly spatial: boolean;
}

export interface TrialResult {
  readonly projector: string;
  /** M, what the language model receives for a picture. */
  readonly tokens: number;
  readonly seed: number;
  /** "stopped": left behind by halving. "diverged": loss or gradients were not finite. Neither was asked anything. */
  readonly status: "done" | "stopped" | "diverged";
  /** Optimiser steps that were made, over all stages. */
  readonly steps: number;
  /** Of the projector. */
  readonly parameters: number;
  /** Mean over the steps of all stages, each at its stage's median. */
  readonly secondsPerStep: number;
  readonly stages: readonly TrialStage[];
  /** At most 200 points, each the mean since the one before. */
  readonly losses: readonly LossPoint[];
  readonly families: readonly FamilyScore[];
  /** A digit for each question: 1 where the model's answer is the right one, letter by letter. Empty if nothing was asked. */
  readonly right: string;
  /** The same with every question about another picture. */
  readonly shuffled: string;
  /** Of everything that decides the numbers above; a trial with another one is made anew. */
  readonly fingerprint: string;
}

export interface TrialStage {
  readonly name: string;
  readonly steps: number;
  /** Median. */
  readonly secondsPerStep: number;
}

export interface LossPoint {
  readonly step: number;
  readonly loss: number;
}

export interface FamilyScore {
  readonly family: string;
  readonly spatial: boolean;
  readonly n: number;
  readonly accuracy: number;
}

export interface LabMap {
  readonly projector: string;
  readonly tokens: number;
  /** 0, 1 or 2. */
  readonly picture: number;
  /** In the lab's folder. */
  readonly file: string;
}

const count = z.int().min(0);
const digits = z.string().regex(/^[01]*$/);
const trial = z.strictObject({
  projector: z.string(),
  tokens: count,
  seed: count,
  status: z.enum(["done", "stopped", "diverged"]),
  steps: count,
  parameters: count,
  secondsPerStep: z.number(),
  stages: z.array(z.strictObject({ name: z.string(), steps: count, secondsPerStep: z.number() })),
  losses: z.array(z.strictObject({ step: count, loss: z.number() })),
  families: z.array(z.strictObject({ family: z.string(), spatial: z.boolean(), n: count, accuracy: z.number() })),
  right: digits,
  shuffled: digits,
  fingerprint: z.string(),
});
const shape = z.strictObject({
  version: z.literal(1),
  projectors: z.array(z.string()),
  tokens: z.array(count),
  seeds: count,
  patches: count,
  questions: z.array(z.strictObject({ family: z.string(), spatial: z.boolean() })),
  textOnly: digits,
  trials: z.array(trial),
  maps: z.array(
    z.strictObject({ projector: z.string(), tokens: count, picture: count, file: z.string().regex(/^pictures\/[\w.+-]+\.png$/) }),
  ),
});

/** Every list of digits has one for each question; a trial that was asked nothing has none. */
const results = shape.superRefine(({ questions, textOnly, trials }, context) => {
  const check = (digits: string, ...path: (string | number)[]): void => {
    if (digits.length === questions.length) return;
    context.addIssue({ code: "custom", path, message: `expected ${questions.length} digits, one for each question, got ${digits.length}` });
  };
  check(textOnly, "textOnly");
  for (const [i, trial] of trials.entries())
    for (const field of ["right", "shuffled"] as const) if (trial.status === "done") check(trial[field], "trials", i, field);
});

/** @throws ConfigError with everything in the file that is not as {@link LabResults} says. */
export async function readResults(file: string): Promise<LabResults> {
  return parseConfig(file, results, await readJson(file));
}

/** @throws ConfigError */
export async function readTrial(file: string): Promise<TrialResult> {
  return parseConfig(file, trial, await readJson(file));
}

/** Accuracy by family, in the order in which families first appear. */
export function familyScores(questions: readonly AskedQuestion[], right: string): FamilyScore[] {
  const byFamily = new Map<string, { spatial: boolean; n: number; hits: number }>();
  for (const [i, { family, spatial }] of questions.entries()) {
    const score = byFamily.get(family) ?? { spatial, n: 0, hits: 0 };
    score.n += 1;
    score.hits += Number(right[i]);
    byFamily.set(family, score);
  }
  return Array.from(byFamily, ([family, { spatial, n, hits }]) => ({ family, spatial, n, accuracy: hits / n }));
}

/** One line for every family of every trial that was asked; with a head. */
export function resultsCsv({ trials }: LabResults): string {
  const head = "projector,tokens,seed,family,spatial,n,accuracy,steps,seconds_per_step,parameters";
  const lines = trials.flatMap(({ projector, tokens, seed, families, steps, secondsPerStep, parameters }) =>
    families.map(({ family, spatial, n, accuracy }) =>
      [projector, tokens, seed, family, spatial, n, accuracy, steps, secondsPerStep, parameters].join(","),
    ),
  );
  return `${[head, ...lines].join("\n")}\n`;
}

/** Beside its place, on the disk, then renamed: a file that is there is whole, after a power cut too. */
export async function writeWhole(path: string, content: string | Uint8Array): Promise<void> {
  const temporary = `${path}.${randomUUID().slice(0, 8)}.tmp`;
  await mkdir(dirname(path), { recursive: true });
  try {
    await writeFile(temporary, content, { flush: true });
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}
