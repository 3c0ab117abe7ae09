/**
 * Trains a model in stages, in one folder:
 *
 *     out/checkpoints/step-N.safetensors   see run-checkpoint.ts
 *     out/metrics.jsonl                    one line per optimiser step
 *     out/tensorboard/                     the same, with answers and pictures, for TensorBoard
 *     out/report.html                      the same as a page that needs nothing else
 *     out/adapter/ or out/model/           what was learnt, at the end
 *     out/features/                        patch features of a frozen encoder
 *     out/run.lock                         while a process works here
 */
import { createHash } from "node:crypto";
import { basename, join, resolve } from "node:path";
import { isLocked, makeFolder, withLock } from "@waggle/checkpoint";
import type { Assembly } from "@waggle/mllm";
import { ConfigError, type ConfigProblem, checkOptions } from "@waggle/nn";
import { Runtime } from "@waggle/runtime";
import { HtmlReport } from "./log/html-report.ts";
import { JsonLines } from "./log/json-lines.ts";
import { TensorBoard } from "./log/tensorboard.ts";
import type { TrainEvent } from "./log/train-event.ts";
import { logs } from "./log/train-log.ts";
import { rehearse } from "./rehearse.ts";
import { RunCheckpoints, type RunPosition } from "./run-checkpoint.ts";
import { addStageLora, type Run, restoreValues, runStage } from "./run-stage.ts";
import { saveTrained } from "./save-trained.ts";
import { type Stage, stepsOf } from "./stage.ts";
import { TrainingError } from "./training-error.ts";
import { trainingModules } from "./training-modules.ts";

export interface TrainOptions {
  /** From `assemble()`. Afterwards its weights are the trained ones: `start()` it to chat. */
  readonly model: Assembly;
  readonly stages: readonly Stage[];
  /** The run's folder. */
  readonly out: string;
  /** Default 0. The same seed, data and machine give the same weights. */
  readonly seed?: number;
  /** Goes on from the folder's newest checkpoint, bit for bit as if it had never stopped. Default false: the folder must hold no run. */
  readonly resume?: boolean;
  /** Optimiser steps between checkpoints; there is one at the end of each stage too. Default 500. */
  readonly checkpointEvery?: number;
  /** How many of the last checkpoints are kept, beside the best. Default 2. */
  readonly keepCheckpoints?: number;
  /** Where features of a frozen encoder are kept. Default `out/features`. Runs may share it. */
  readonly featureCache?: string;
  /** Threads of ONNX Runtime. Default: as many as the process may use. */
  readonly threads?: number;
  /** Stops after the step that is running; what was learnt is in a checkpoint. */
  readonly signal?: AbortSignal;
  readonly onEvent?: (event: TrainEvent) => void | Promise<void>;
}

export interface TrainResult {
  /** Optimiser steps over all stages, earlier ones of a resumed run included. */
  readonly steps: number;
  /** Mean loss of the last step. */
  readonly loss: number;
  /** The folder of what was learnt: see save-trained.ts. */
  readonly trained: string;
  /** The last checkpoint. */
  readonly checkpoint: string;
}

const known: readonly (keyof TrainOptions)[] = [
  "model",
  "stages",
  "out",
  "seed",
  "resume",
  "checkpointEvery",
  "keepCheckpoints",
  "featureCache",
  "threads",
  "signal",
  "onEvent",
];

/** Runs all stages. What is wrong with the options is said before anything starts. */
export async function train(options: TrainOptions): Promise<TrainResult> {
  checkTrainOptions(options);
  const { model, stages, out, signal } = options;
  const plans = stages.map(({ trainable, lora, optimizer }) => ({ trainable, lora, groups: optimizer.groups }));
  const problems = rehearse(trainingModules(model), plans);
  if (problems.length > 0) throw new ConfigError("train", problems);
  signal?.throwIfAborted();
  await makeFolder(out);
  const lock = join(out, "run.lock");
  const busy = (): TrainingError =>
    new TrainingError("folder", `${out}: another process trains here. Wait for it, or choose another folder.`, { out });
  if (await isLocked(lock)) throw busy();
  const patience = AbortSignal.timeout(2000);
  return withLock(lock, patience, () => trainInFolder(options)).catch((error: unknown) => {
    throw error === patience.reason ? busy() : error;
  });
}

async function trainInFolder(options: TrainOptions): Promise<TrainResult> {
  const { model, stages, out, seed = 0, resume = false, threads, onEvent } = options;
  const checkpoints = new RunCheckpoints(join(out, "checkpoints"), options.keepCheckpoints ?? 2);
  const fingerprint = fingerprintOf(options);
  const latest = await checkpoints.latest();
  if (latest && !resume) {
    const message = `${out} holds a run (${latest.path}). Pass resume (waggle train: --resume) to go on with it, or choose another folder.`;
    throw new TrainingError("folder", message, { out });
  }
  if (latest && latest.position.fingerprint !== fingerprint) {
    const message = `${latest.path}: is of another run: model, stages, data or seed differ from those of this one.`;
    throw new TrainingError("checkpoint", `${message} Resume with what it was started with, or choose another folder.`, {
      path: latest.path,
    });
  }
  const runtime = new Runtime({ ...(threads !== undefined && { threads }) });
  const log = logs(
    new JsonLines(join(out, "metrics.jsonl")),
    new TensorBoard(join(out, "tensorboard")),
    new HtmlReport(join(out, "report.html"), { title: basename(resolve(out)), settings: settingsOf(options) }),
  );
  try {
    const run: Run = {
      ...{ options, runtime, checkpoints, fingerprint, seed },
      modules: trainingModules(model),
      featureCache: options.featureCache ?? join(out, "features"),
      learnt: new Map(),
      totalSteps: stages.reduce((sum, each) => sum + stepsOf(each), 0),
      emit: async (event) => {
        await log.write(event);
        await onEvent?.(event);
      },
    };
    const start: RunPosition = latest?.position ?? beginning(fingerprint);
    await run.emit({
      type: "start",
      stages: stages.map((each) => ({ name: each.name, steps: stepsOf(each) })),
      totalSteps: run.totalSteps,
      step: start.step,
    });
    let position = start;
    let loss = Number.NaN;
    for (const [index, each] of stages.entries()) {
      addStageLora(run, each);
      if (index < start.stage) continue;
      const resumed = index === start.stage ? (latest?.tensors ?? null) : null;
      if (resumed) await restoreValues(run, resumed);
      ({ position, loss } = await runStage(run, each, position, resumed));
    }
    if (latest && start.stage === stages.length) await restoreValues(run, latest.tensors);
    const trained = await saveTrained(model, run.modules, run.learnt, out);
    await run.emit({ type: "end", step: position.step, loss, path: trained });
    await log.close();
    return { steps: position.step, loss, trained, checkpoint: checkpoints.pathOf(position.step) };
  } catch (error) {
    await Promise.allSettled([log.close()]); // what went wrong first is what counts
    throw error;
  } finally {
    runtime.dispose();
  }
}

function beginning(fingerprint: string): RunPosition {
  return { fingerprint, step: 0, stage: 0, stageStep: 0, data: { epoch: 0, position: 0 }, best: null };
}

/** Everything that decides what a run computes. */
function fingerprintOf(options: TrainOptions): string {
  const parameters = Array.from(trainingModules(options.model).namedParameters(), ([path, { shape, source }]) => [
    path,
    shape,
    source?.fingerprint,
  ]);
  return createHash("sha256")
    .update(JSON.stringify([parameters, settingsOf(options)]))
    .digest("hex");
}

/** What was asked for, as plain data. */
function settingsOf({ stages, seed = 0 }: TrainOptions): Readonly<Record<string, unknown>> {
  const plain = (_: string, value: unknown): unknown => (value instanceof RegExp ? String(value) : value);
  const named = stages.map(({ name, data, validation, ...rest }) => [
    name,
    { ...rest, data: `${data.name} (${data.length})`, validation: validation?.name },
  ]);
  return JSON.parse(JSON.stringify({ seed, ...Object.fromEntries(named.map(([name, rest], i) => [`${i + 1} ${name}`, rest])) }, plain));
}

type Settings = Pick<TrainOptions, "seed" | "checkpointEvery" | "keepCheckpoints">;

export function settingProblems(options: Settings): readonly ConfigProblem[] {
  const least = { checkpointEvery: 1, keepCheckpoints: 1, seed: 0 } satisfies Record<keyof Settings, number>;
  return (Object.keys(least) as (keyof Settings)[]).flatMap((field) => {
    const value = options[field];
    if (value === undefined || (Number.isSafeInteger(value) && value >= least[field])) return [];
    return [{ field, message: `expected a whole number ≥ ${least[field]}, got ${value}.` }];
  });
}

function checkTrainOptions(options: TrainOptions): void {
  checkOptions("train", options, known);
  const problems = [...settingProblems(options)];
  if (!Array.isArray(options.stages) || options.stages.length === 0)
    problems.push({ field: "stages", message: "expected at least one stage." });
  if (typeof options.out !== "string" || options.out === "") problems.push({ field: "out", message: "expected a folder." });
  if (options.model?.origin?.adapted) {
    const message = `${options.model.origin.id} is an adapter. Merge it first (waggle merge), or assemble its base and continue with loadAdapter.`;
    problems.push({ field: "model", message });
  }
  if (problems.length > 0) throw new ConfigError("train", problems);
}
