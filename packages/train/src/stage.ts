/** A stage of training as a value: what learns, from what, and how. Published recipes are stages to be spread and changed. */
import { inspect } from "node:util";
import type { Dataset } from "@waggle/data";
import { ConfigError, type ConfigProblem, checkOptions, type LoraOptions } from "@waggle/nn";
import { conversations } from "./conversation-task.ts";
import type { Optimizer } from "./optimizer.ts";
import { constant, type Schedule } from "./schedule.ts";
import type { ParameterPattern } from "./select.ts";
import type { Task } from "./task.ts";

export interface StageOptions {
  /** Stands in logs and checkpoints. */
  readonly name: string;
  /** What learns; all else is frozen. With `lora`, its matrices learn too. */
  readonly trainable: readonly ParameterPattern[];
  /** Low-rank matrices beside linear layers, which themselves stay as they are. */
  readonly lora?: LoraOptions;
  /** A dataset stands for its `conversations`. */
  readonly data: Dataset | Task;
  /** Optimiser steps; or `epochs`. */
  readonly steps?: number | undefined;
  /** Times that every sample is seen. Undefined where a published recipe is spread and `steps` given. */
  readonly epochs?: number | undefined;
  /** Samples run through the model at once. */
  readonly batchSize: number;
  /** Batches of an optimiser step. Default 1. */
  readonly accumulation?: number;
  readonly optimizer: Optimizer;
  /** Default: constant. */
  readonly schedule?: Schedule;
  /** The largest global norm of the gradients. Default: no clipping. */
  readonly clip?: number;
  /** What every target of a step counts: see {@link Trainer}. Default "targets". */
  readonly average?: "targets" | "micro-batches";
  /** Default "shuffled". */
  readonly order?: "shuffled" | "length-grouped" | "sequential";
  /** What happens to a sample that cannot be read or has nothing to learn. Default "stop". */
  readonly onBroken?: "skip" | "stop";
  /** Samples whose loss is computed at each checkpoint; the best checkpoint is the one with the lowest. */
  readonly validation?: Dataset | Task;
  /** Computes activations a second time instead of keeping them: slower, in much less memory. Default false. */
  readonly recompute?: boolean;
}

export interface Stage extends StageOptions {
  readonly data: Task;
  readonly validation?: Task;
  readonly accumulation: number;
  readonly schedule: Schedule;
  readonly average: "targets" | "micro-batches";
  readonly order: "shuffled" | "length-grouped" | "sequential";
  readonly onBroken: "skip" | "stop";
  readonly recompute: boolean;
}

const known: readonly (keyof StageOptions)[] = [
  "name",
  "trainable",
  "lora",
  "data",
  "steps",
  "epochs",
  "batchSize",
  "accumulation",
  "optimizer",
  "schedule",
  "clip",
  "average",
  "order",
  "onBroken",
  "validation",
  "recompute",
];

/** Checks the options whole and fills in what is not given. */
export function stage(options: StageOptions): Stage {
  const where = `stage ${options.name ?? ""}`.trim();
  checkOptions(where, options, known);
  const problems: ConfigProblem[] = [];
  const check = (field: keyof StageOptions, holds: boolean, expected: string): void => {
    if (!holds) problems.push({ field, message: `expected ${expected}, got ${inspect(options[field])}.` });
  };
  const whole = (value: number | undefined): boolean => value === undefined || (Number.isInteger(value) && value >= 1);
  const oneOf = (value: string | undefined, ...names: string[]): boolean => value === undefined || names.includes(value);
  check("name", typeof options.name === "string" && /^[\w .-]+$/.test(options.name), "letters, digits, dots, dashes and spaces");
  check("batchSize", options.batchSize !== undefined && whole(options.batchSize), "a whole number ≥ 1");
  for (const field of ["steps", "epochs", "accumulation"] as const) check(field, whole(options[field]), "a whole number ≥ 1");
  if ((options.steps === undefined) === (options.epochs === undefined))
    problems.push({ field: "steps", message: "expected either steps or epochs." });
  check("clip", options.clip === undefined || (Number.isFinite(options.clip) && options.clip > 0), "a number > 0");
  check("average", oneOf(options.average, "targets", "micro-batches"), '"targets" or "micro-batches"');
  check("order", oneOf(options.order, "shuffled", "length-grouped", "sequential"), '"shuffled", "length-grouped" or "sequential"');
  check("onBroken", oneOf(options.onBroken, "skip", "stop"), '"skip" or "stop"');
  check("optimizer", typeof options.optimizer?.kernel === "string", "what adamW() or sgd() returns");
  check(
    "schedule",
    options.schedule === undefined || typeof options.schedule?.factor === "function",
    "what constant(), linear() or cosine() returns",
  );
  check("recompute", options.recompute === undefined || typeof options.recompute === "boolean", "true or false");
  if (!(options.data?.length > 0)) problems.push({ field: "data", message: "holds no samples." });
  else if (options.order === "length-grouped" && taskOf(options.data).measured === false)
    problems.push({
      field: "order",
      message: `"length-grouped" needs lengthOf, which ${options.data.name} does not have. Use "shuffled".`,
    });
  if (options.validation?.length === 0) problems.push({ field: "validation", message: "holds no samples." });
  if (!Array.isArray(options.trainable) || (options.trainable.length === 0 && options.lora === undefined))
    problems.push({ field: "trainable", message: "expected a list of patterns; an empty one needs `lora`." });
  if (problems.length > 0) throw new ConfigError(where, problems);
  const { data, validation, accumulation = 1, schedule = constant(), average = "targets", ...others } = options;
  const { order = "shuffled", onBroken = "stop", recompute = false, ...rest } = others;
  return {
    ...{ accumulation, schedule, average, order, onBroken, recompute, ...rest },
    data: taskOf(data),
    ...(validation && { validation: taskOf(validation) }),
  };
}

function taskOf(data: Dataset | Task): Task {
  return "open" in data ? data : conversations(data);
}

/** Optimiser steps of a stage. An epoch's last batch may be smaller; a step may take batches of two epochs, the last one what is left. */
export function stepsOf({ steps, epochs = 1, data, batchSize, accumulation }: Stage): number {
  return steps ?? Math.ceil((epochs * Math.ceil(data.length / batchSize)) / accumulation);
}
