/** What a run's page shows; it stands in the page as JSON, so that a resumed run goes on with the page of the run before. */
import type { StepRecord } from "../step-record.ts";
import type { TrainEvent } from "./train-event.ts";

export type Measure = Exclude<keyof StepRecord, "step" | "stage">;
export const measures: readonly Measure[] = ["loss", "gradNorm", "lr", "tokensPerSecond", "waitMs"];

export interface ReportSample {
  /** A data URI. */
  readonly picture: string | null;
  readonly prompt: string;
  readonly expected: string;
  readonly answers: { readonly step: number; readonly answer: string }[];
}

export interface ReportData {
  readonly stages: readonly { readonly name: string; readonly steps: number }[];
  /** A column each; six digits of what was measured. */
  readonly steps: Readonly<Record<Measure | "step", number[]>> & { readonly stage: string[] };
  readonly validation: { readonly step: number; readonly loss: number }[];
  readonly samples: ReportSample[];
  /** The first ones by name; all of them are counted. */
  readonly skipped: { readonly id: string; readonly reason: string }[];
  readonly skippedCount: number;
  /** Milliseconds of training, those before a resumption included. */
  readonly elapsed: number;
  readonly ended: boolean;
}

const NAMED = 200;

export function emptyReport(stages: ReportData["stages"]): ReportData {
  const steps = { step: [], stage: [], loss: [], gradNorm: [], lr: [], tokensPerSecond: [], waitMs: [] };
  return { stages, steps, validation: [], samples: [], skipped: [], skippedCount: 0, elapsed: 0, ended: false };
}

/** What a run had come to at `step`. */
export function reportUntil(data: ReportData, step: number): ReportData {
  const count = data.steps.step.findLastIndex((each) => each <= step) + 1;
  const steps = Object.fromEntries(Object.entries(data.steps).map(([name, values]) => [name, values.slice(0, count)]));
  const known = <T extends { readonly step: number }>(all: readonly T[]): T[] => all.filter((each) => each.step <= step);
  const samples = data.samples.map((sample) => ({ ...sample, answers: known(sample.answers) })).filter(({ answers }) => answers.length > 0);
  return { ...data, steps: steps as ReportData["steps"], validation: known(data.validation), samples, ended: false };
}

export function addStep({ steps }: ReportData, record: StepRecord): void {
  steps.step.push(record.step);
  steps.stage.push(record.stage);
  for (const name of measures) steps[name].push(Number(record[name].toPrecision(6)));
}

export function addSample({ samples }: ReportData, event: Extract<TrainEvent, { type: "sample" }>, picture: string | null): void {
  const { step, prompt, expected, answer } = event;
  const same = samples.find((each) => each.prompt === prompt && each.expected === expected && each.picture === picture);
  if (same) same.answers.push({ step, answer });
  else samples.push({ picture, prompt, expected, answers: [{ step, answer }] });
}

export function addSkipped(data: ReportData, { id, reason }: { readonly id: string; readonly reason: string }): ReportData {
  if (data.skipped.length < NAMED) data.skipped.push({ id, reason });
  return { ...data, skippedCount: data.skippedCount + 1 };
}
