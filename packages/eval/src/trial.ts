/**
 * One projector at one M with one seed: trained, asked, written down. Its folder is a run of @waggle/train, and
 *
 *     step-seconds.jsonl   how long each step took, by stage
 *     result.json          when it is finished
 */
import { existsSync } from "node:fs";
import { appendFile, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Assembly } from "@waggle/mllm";
import { ConfigError } from "@waggle/nn";
import { type Stage, stepsOf, type TrainEvent, TrainingError, train } from "@waggle/train";
import { exactMatches } from "./exact-matches.ts";
import type { HeldQuestions } from "./held-questions.ts";
import type { LabOptions, Trial } from "./lab-options.ts";
import { drawPictureMaps } from "./picture-maps.ts";
import { compositionOf, trialFingerprint } from "./plan.ts";
import { familyScores, type LossPoint, readTrial, type TrialResult, type TrialStage, writeWhole } from "./results.ts";

/** What all trials of a lab share. */
export interface LabContext {
  readonly options: LabOptions;
  readonly questions: HeldQuestions;
}

/** Steps between checkpoints: a killed trial loses at most so many. */
const CHECKPOINT_EVERY = 200;
const LOSS_POINTS = 200;

export function nameOf({ projector, tokens, seed }: Trial): string {
  return `${projector}-${tokens}-${seed}`;
}

export function folderOf({ options }: LabContext, trial: Trial): string {
  return join(options.out, "trials", nameOf(trial));
}

/**
 * Goes on with a trial until a step, or to its end, or leaves it "here", and says how it stands: null for a trial that may
 * go on. What is finished is read.
 */
export async function runTrial(context: LabContext, trial: Trial, until: number | "end" | "here"): Promise<TrialResult | null> {
  const { options, questions } = context;
  const folder = folderOf(context, trial);
  const model = await buildTrial(context, trial);
  const fingerprint = trialFingerprint(model, options.stages, trial, questions);
  const finished = await finishedTrial(folder, fingerprint);
  if (finished !== null) return finished;
  const status = until === "here" ? "stopped" : await trainTrial(context, trial, model, until);
  if (status === "paused") return null;
  const result = await describeTrial(context, trial, model, fingerprint, status);
  await writeWhole(join(folder, "result.json"), `${JSON.stringify(result)}\n`);
  // A lab has many trials, and every one has the weights of all stages.
  for (const name of ["checkpoints", "model", "adapter"]) await rm(join(folder, name), { recursive: true, force: true });
  return result;
}

/** The losses of the steps that a trial has behind itself. */
export async function lossesOf(context: LabContext, trial: Trial): Promise<readonly LossPoint[]> {
  const points = await linesOf<LossPoint>(join(folderOf(context, trial), "metrics.jsonl"));
  return points.map(({ step, loss }) => ({ step, loss }));
}

async function buildTrial({ options }: LabContext, { projector, tokens, seed }: Trial): Promise<Assembly> {
  const factory = options.projectors[projector];
  if (factory === undefined) throw new ConfigError("lab", [{ field: "projectors", message: `there is no ${projector}.` }]);
  return options.base(factory(tokens), seed);
}

async function finishedTrial(folder: string, fingerprint: string): Promise<TrialResult | null> {
  const file = join(folder, "result.json");
  if (!existsSync(file)) return null;
  const result = await readTrial(file);
  if (result.fingerprint === fingerprint) return result;
  const message = `is of another projector, base, stages or questions. Remove ${folder} to train it anew, or choose another folder.`;
  throw new ConfigError(file, [{ field: "fingerprint", message }]);
}

/** Trains on; whether it reached its end, paused at `until`, or met NaN. */
async function trainTrial(
  context: LabContext,
  trial: Trial,
  model: Assembly,
  until: number | "end",
): Promise<"done" | "paused" | "diverged"> {
  const { stages, out, threads, signal, onEvent } = context.options;
  const folder = folderOf(context, trial);
  if (until !== "end" && (await lossesOf(context, trial)).length >= until) return "paused";
  const pause = new AbortController();
  const clock = stepClock(join(folder, "step-seconds.jsonl"));
  try {
    await train({
      ...{ model, stages, out: folder, seed: trial.seed, resume: true, checkpointEvery: CHECKPOINT_EVERY, keepCheckpoints: 1 },
      featureCache: join(out, "features"),
      ...(threads !== undefined && { threads }),
      signal: signal ? AbortSignal.any([signal, pause.signal]) : pause.signal,
      onEvent: async (event) => {
        await clock(event);
        await onEvent?.({ type: "train", trial, event });
        if (event.type === "step" && until !== "end" && event.record.step >= until) pause.abort();
      },
    });
    return "done";
  } catch (error) {
    signal?.throwIfAborted();
    if (pause.signal.aborted) return "paused";
    if (error instanceof TrainingError && error.code === "not-finite") return "diverged";
    throw error;
  }
}

/** The time between one event and the next is what a step took; a median leaves out those that had to wait for more. */
function stepClock(file: string): (event: TrainEvent) => Promise<void> {
  let last = performance.now();
  return async (event) => {
    const seconds = (performance.now() - last) / 1000;
    if (event.type === "step") await appendFile(file, `${JSON.stringify({ stage: event.record.stage, seconds })}\n`);
    last = performance.now();
  };
}

async function describeTrial(
  context: LabContext,
  trial: Trial,
  model: Assembly,
  fingerprint: string,
  status: TrialResult["status"],
): Promise<TrialResult> {
  const { options, questions } = context;
  const losses = await lossesOf(context, trial);
  const stages = await stageTimes(options.stages, folderOf(context, trial), losses.length);
  const steps = stages.reduce((sum, stage) => sum + stage.steps, 0);
  const seconds = stages.reduce((sum, stage) => sum + stage.steps * stage.secondsPerStep, 0);
  const asked = { featureCache: join(options.out, "features"), threads: options.threads, signal: options.signal };
  const ask = status === "done";
  const right = ask ? await exactMatches(model, questions.matched, asked) : "";
  const shuffled = ask ? await exactMatches(model, questions.shuffled, asked) : "";
  if (ask && trial.seed === 0) await drawPictureMaps(context, trial, model);
  return {
    ...trial,
    status,
    steps,
    parameters: projectorParameters(model),
    secondsPerStep: steps === 0 ? 0 : seconds / steps,
    stages,
    losses: thinned(losses),
    families: ask ? familyScores(questions.asked, right) : [],
    ...{ right, shuffled, fingerprint },
  };
}

function projectorParameters(model: Assembly): number {
  const { multi_modal_projector } = compositionOf(model).modules;
  return Array.from(multi_modal_projector.namedParameters(), ([, { shape }]) => shape.reduce((a, b) => a * b, 1)).reduce(
    (a, b) => a + b,
    0,
  );
}

async function stageTimes(stages: readonly Stage[], folder: string, done: number): Promise<TrialStage[]> {
  const times = await linesOf<{ readonly stage: string; readonly seconds: number }>(join(folder, "step-seconds.jsonl"));
  let left = done;
  return stages.map((stage) => {
    const steps = Math.min(left, stepsOf(stage));
    left -= steps;
    const seconds = times.flatMap((each) => (each.stage === stage.name ? [each.seconds] : [])).sort((a, b) => a - b);
    return { name: stage.name, steps, secondsPerStep: seconds[Math.floor(seconds.length / 2)] ?? 0 };
  });
}

/** At most {@link LOSS_POINTS}, each the mean since the one before. */
function thinned(losses: readonly LossPoint[]): LossPoint[] {
  const size = Math.max(1, Math.ceil(losses.length / LOSS_POINTS));
  return Array.from({ length: Math.ceil(losses.length / size) }, (_, i) => {
    const part = losses.slice(i * size, (i + 1) * size);
    return { step: part.at(-1)?.step ?? 0, loss: part.reduce((sum, { loss }) => sum + loss, 0) / part.length };
  });
}

/** Lines of JSON; one that a killed process left half-written is none. */
async function linesOf<T>(file: string): Promise<T[]> {
  const text = await readFile(file, "utf8").catch(() => "");
  return text.split("\n").flatMap((line) => {
    try {
      return [JSON.parse(line) as T];
    } catch {
      return [];
    }
  });
}
