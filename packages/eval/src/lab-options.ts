/** What a lab is asked to do. */
import type { SceneDataset } from "@waggle/data";
import type { Assembly } from "@waggle/mllm";
import { ConfigError, type ConfigProblem, checkOptions } from "@waggle/nn";
import type { ProjectorFactory } from "@waggle/projectors";
import type { Stage, TrainEvent } from "@waggle/train";
import type { TrialResult } from "./results.ts";

/** What is compared; a module's default export for `waggle lab`. */
export interface LabSpec {
  /**
   * By name, the projector that makes so many visual tokens. One that makes another number (a linear one always makes as
   * many as there are patches) is not trained at that number.
   */
  readonly projectors: Readonly<Record<string, (tokens: number) => ProjectorFactory>>;
  /** M, one after the other; equal numbers are compared. */
  readonly tokens: readonly number[];
  /** Every pair of projector and M is trained so often, with seeds 0, 1, …: fresh projector, order of the data. */
  readonly seeds: number;
  /** The model around a projector, with weights; its projector fresh from `seed`. Called for every trial, for trials change weights. */
  readonly base: (projector: ProjectorFactory, seed: number) => Assembly | Promise<Assembly>;
  /** In Honeybee's setting two: the projector alone, then projector and language model. */
  readonly stages: readonly Stage[];
  /** What no stage trains on. One question a picture makes questions independent, as the intervals assume. */
  readonly questions: SceneDataset;
  /** Leaves the worst behind early. Default: every trial is trained to its end. */
  readonly halving?: Halving;
  /** Of one call: once it is used up no trial begins, and the next call goes on. Default: none. */
  readonly budget?: { readonly minutes: number };
}

/**
 * Successive halving (Jamieson and Talwalkar 2016): all projectors of one M are trained to a share of their steps, those
 * with the lowest loss there, as a mean over seeds, go on to the next. The losses are of the same data in the same order.
 */
export interface Halving {
  /** Shares of all steps at which is chosen, ascending between 0 and 1. */
  readonly at: readonly number[];
  /** How many of those that are left go on, rounded up; 0.5 halves. */
  readonly keep: number;
}

export interface LabOptions extends LabSpec {
  /** The lab's folder; what is finished there is not done again. */
  readonly out: string;
  /** Threads of ONNX Runtime in each trial. Default: what the process may use, shared by the trials that run at once. */
  readonly threads?: number;
  /** Trials at once. Small models leave a second thread little to do, so two trials with a thread each end sooner. Default 1. */
  readonly parallel?: number;
  /** Stops after the step that is running; the same call goes on from there. */
  readonly signal?: AbortSignal;
  readonly onEvent?: (event: LabEvent) => void | Promise<void>;
}

export interface Trial {
  readonly projector: string;
  readonly tokens: number;
  readonly seed: number;
}

export type LabEvent =
  | {
      readonly type: "plan";
      readonly trials: readonly Trial[] /** Pairs that are not defined, in words. */;
      readonly left: readonly string[];
    }
  | { readonly type: "train"; readonly trial: Trial; readonly event: TrainEvent }
  /** A trial is finished, now or (`fresh` false) by an earlier call. */
  | {
      readonly type: "result";
      readonly trial: Trial;
      readonly result: TrialResult;
      readonly fresh: boolean;
      readonly done: number;
      readonly of: number;
    }
  /** The budget is used up; so many trials are left. */
  | { readonly type: "budget"; readonly left: number }
  | { readonly type: "end"; readonly report: string };

const spec: readonly (keyof LabSpec)[] = ["projectors", "tokens", "seeds", "base", "stages", "questions", "halving", "budget"];
const known: readonly (keyof LabOptions)[] = [...spec, "out", "threads", "parallel", "signal", "onEvent"];

/** @throws ConfigError with everything that is wrong. */
export function checkLabOptions(options: LabOptions): void {
  checkOptions("lab", options, known);
  const { projectors, tokens, seeds, base, stages, questions, halving, budget, out, ...counts } = options;
  const problems: ConfigProblem[] = [];
  const check = (field: string, holds: boolean, message: string): void => {
    if (!holds) problems.push({ field, message });
  };
  const whole = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 1;
  const names = Object.keys(projectors ?? {});
  check("projectors", names.length > 0, "expected at least one: { name: (tokens) => factory }.");
  for (const name of names)
    check(`projectors.${name}`, /^[\w][\w.+-]*$/.test(name), "expected a name of letters, digits, dots, dashes and plus signs.");
  for (const [name, factory] of Object.entries(projectors ?? {}))
    check(`projectors.${name}`, typeof factory === "function", `expected (tokens) => ProjectorFactory, got ${typeof factory}.`);
  const list = Array.isArray(tokens) && tokens.length > 0 && tokens.every(whole) && new Set(tokens).size === tokens.length;
  check("tokens", list, `expected different whole numbers ≥ 1, got ${JSON.stringify(tokens)}.`);
  check("seeds", whole(seeds), `expected how many, a whole number ≥ 1, got ${seeds}.`);
  check("base", typeof base === "function", "expected (projector, seed) => Assembly.");
  const staged = Array.isArray(stages) && stages.length > 0 && stages.every((each) => typeof each?.data?.open === "function");
  check("stages", staged, "expected a list of what stage() returns, one or more.");
  check("questions", typeof questions?.describe === "function" && questions.length >= 2, "expected scenes() of at least two pictures.");
  for (const field of ["parallel", "threads"] as const)
    check(field, counts[field] === undefined || whole(counts[field]), `expected a whole number ≥ 1, got ${counts[field]}.`);
  check("out", typeof out === "string" && out !== "", "expected a folder.");
  check("budget", budget === undefined || budget.minutes > 0, `expected { minutes } > 0, got ${JSON.stringify(budget)}.`);
  if (halving !== undefined) {
    const { at, keep } = halving;
    const ascends = Array.isArray(at) && at.length > 0 && at.every((share, i) => share > (at[i - 1] ?? 0) && share < 1);
    check("halving.at", ascends, `expected ascending shares between 0 and 1, got ${JSON.stringify(at)}.`);
    check("halving.keep", keep > 0 && keep < 1, `expected a share between 0 and 1, got ${keep}.`);
  }
  if (problems.length > 0) throw new ConfigError("lab", problems);
}
