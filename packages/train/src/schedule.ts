/** Learning rate over the steps, as multipliers of each group's own rate. Steps count from 0, as in transformers. */
import { ConfigError, type ConfigProblem, checkOptions } from "@waggle/nn";

export interface Schedule {
  readonly name: string;
  readonly settings: Readonly<Record<string, number>>;
  /** What the rate `lr` is multiplied with in step `step` of `steps`. */
  factor(step: number, steps: number, lr: number): number;
}

export interface WarmupOptions {
  /** Steps in which the rate rises from 0. */
  readonly warmup_steps?: number;
  /** The same as a part of all steps, rounded up. */
  readonly warmup_ratio?: number;
}

export interface FloorOptions extends WarmupOptions {
  /** Where the rate starts and ends: the multiplier m becomes (1 − δ) + δ·m with δ = (lr − min_lr) / lr, as in Honeybee. Default 0. */
  readonly min_lr?: number;
}

/** transformers' constant_with_warmup. */
export function constant(options: WarmupOptions = {}): Schedule {
  return schedule("constant", options, () => 1);
}

/** transformers' get_linear_schedule_with_warmup. */
export function linear(options: FloorOptions = {}): Schedule {
  return schedule("linear", options, (progress) => Math.max(0, 1 - progress));
}

/** transformers' get_cosine_schedule_with_warmup: half a cosine down. */
export function cosine(options: FloorOptions = {}): Schedule {
  return schedule("cosine", options, (progress) => Math.max(0, 0.5 * (1 + Math.cos(Math.PI * progress))));
}

function schedule(name: string, options: FloorOptions, shape: (progress: number) => number): Schedule {
  checkOptions(name, options, name === "constant" ? ["warmup_steps", "warmup_ratio"] : ["warmup_steps", "warmup_ratio", "min_lr"]);
  const { warmup_steps, warmup_ratio, min_lr = 0 } = options;
  const problems: ConfigProblem[] = [];
  const check = (field: string, value: number, holds: boolean, expected: string): void => {
    if (!holds) problems.push({ field, message: `expected ${expected}, got ${value}.` });
  };
  if (warmup_steps !== undefined)
    check("warmup_steps", warmup_steps, Number.isInteger(warmup_steps) && warmup_steps >= 0, "a whole number ≥ 0");
  if (warmup_ratio !== undefined) check("warmup_ratio", warmup_ratio, warmup_ratio >= 0 && warmup_ratio <= 1, "a number in [0, 1]");
  if (warmup_steps !== undefined && warmup_ratio !== undefined)
    problems.push({ field: "warmup_ratio", message: "expected warmup_steps or warmup_ratio, got both." });
  check("min_lr", min_lr, Number.isFinite(min_lr) && min_lr >= 0, "a finite number ≥ 0");
  if (problems.length > 0) throw new ConfigError(name, problems);
  return {
    name,
    settings: { ...options } as Readonly<Record<string, number>>,
    factor(step, steps, lr) {
      const warmup = warmup_steps ?? Math.ceil(steps * (warmup_ratio ?? 0));
      const m = step < warmup ? step / Math.max(1, warmup) : shape((step - warmup) / Math.max(1, steps - warmup));
      const floor = lr > 0 ? Math.min(1, min_lr / lr) : 0;
      return floor + (1 - floor) * m;
    },
  };
}

export interface MiniGpt4ScheduleOptions {
  /** Where the warm-up begins. */
  readonly warmup_start_lr: number;
  readonly min_lr: number;
  readonly warmup_steps: number;
  readonly steps_per_epoch: number;
}

/**
 * MiniGPT-4's (LAVIS' LinearWarmupCosineLRScheduler): a straight line up in the first steps, then half a cosine that is
 * counted from step 0 and not from the end of the warm-up, so the rate jumps there. The line is counted within an epoch: a
 * warm-up that is longer than one starts again.
 */
export function linearWarmupCosine(options: MiniGpt4ScheduleOptions): Schedule {
  const fields = ["warmup_start_lr", "min_lr", "warmup_steps", "steps_per_epoch"] as const;
  checkOptions("linearWarmupCosine", options, fields);
  const { warmup_start_lr, min_lr, warmup_steps, steps_per_epoch } = options;
  const wrong = fields.flatMap((field): ConfigProblem[] => {
    const [value, least] = [options[field], field === "steps_per_epoch" ? 1 : 0];
    const kind = field.endsWith("lr") ? "finite" : "whole";
    if (value >= least && (kind === "finite" ? Number.isFinite(value) : Number.isInteger(value))) return [];
    return [{ field, message: `expected a ${kind} number ≥ ${least}, got ${value}.` }];
  });
  if (wrong.length > 0) throw new ConfigError("linearWarmupCosine", wrong);
  return {
    name: "linearWarmupCosine",
    settings: { ...options },
    factor(step, steps, lr) {
      const rate =
        step < warmup_steps
          ? Math.min(lr, warmup_start_lr + ((lr - warmup_start_lr) * (step % steps_per_epoch)) / Math.max(1, warmup_steps))
          : (lr - min_lr) * 0.5 * (1 + Math.cos((Math.PI * step) / Math.max(1, steps))) + min_lr;
      return lr > 0 ? rate / lr : 0;
    },
  };
}
