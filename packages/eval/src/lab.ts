/**
 * Trains each projector in the setting of Honeybee's comparison, at the same numbers of visual tokens and with several
 * seeds, and asks all of them the same questions. One folder:
 *
 *     out/results.json    see results.ts; written after every trial
 *     out/results.csv     one line for every family of every trial
 *     out/report.html     both as a page that needs nothing else
 *     out/pictures/       what projectors looked at
 *     out/trials/         a run of @waggle/train each, and its result
 *     out/features/       patch features of the frozen encoder, computed once
 *     out/lab.lock        while a process works here
 *
 * A lab goes on where it was, however it ended; with more projectors, tokens or seeds than before it trains what is missing.
 */
import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { isLocked, withLock } from "@waggle/checkpoint";
import { ConfigError } from "@waggle/nn";
import { stepsOf } from "@waggle/train";
import { heldQuestions } from "./held-questions.ts";
import { checkLabOptions, type LabOptions, type Trial } from "./lab-options.ts";
import { mapFile } from "./picture-maps.ts";
import { messageOf, type Plan, planTrials } from "./plan.ts";
import { writeLabReport } from "./report/write-report.ts";
import type { LabMap, LabResults, TrialResult } from "./results.ts";
import { writeWhole } from "./results.ts";
import { folderOf, type LabContext, lossesOf, nameOf, runTrial } from "./trial.ts";

/** @throws ConfigError with everything that is wrong with the options, before anything is trained. */
export async function lab(options: LabOptions): Promise<LabResults> {
  checkLabOptions(options);
  options.signal?.throwIfAborted();
  const lock = join(options.out, "lab.lock");
  const busy = (): ConfigError => new ConfigError("lab", [{ field: "out", message: `another process works in ${options.out}.` }]);
  if (await isLocked(lock)) throw busy();
  const patience = AbortSignal.timeout(2000);
  return withLock(lock, patience, () => new Lab(options).run()).catch((error: unknown) => {
    throw error === patience.reason ? busy() : error;
  });
}

class Lab {
  readonly #context: LabContext;
  readonly #began = performance.now();
  readonly #failed = new AbortController();
  readonly #results = new Map<string, TrialResult>();
  #plan: Plan = { trials: [], left: [], patches: 0 };

  constructor(options: LabOptions) {
    const { parallel = 1, threads = Math.max(1, Math.floor(availableParallelism() / parallel)), signal } = options;
    const stop = signal ? AbortSignal.any([signal, this.#failed.signal]) : this.#failed.signal;
    this.#context = { options: { ...options, threads, parallel, signal: stop }, questions: heldQuestions(options.questions) };
  }

  async run(): Promise<LabResults> {
    const { options } = this.#context;
    this.#plan = await planTrials(options);
    const { trials, left } = this.#plan;
    await options.onEvent?.({ type: "plan", trials, left });
    for (const tokens of options.halving ? options.tokens : []) await this.#halve(trials.filter((trial) => trial.tokens === tokens));
    await this.#each(trials, async (trial) => {
      if (this.#isFinished(trial) || !this.#usedUp()) await this.#finish(trial, "end");
    });
    const missing = trials.length - this.#results.size;
    if (missing > 0) await options.onEvent?.({ type: "budget", left: missing });
    await this.#write();
    const report = await writeLabReport(options.out);
    await options.onEvent?.({ type: "end", report });
    return this.#summary();
  }

  /** So many at once as were asked for, begun in order. One that fails stops the others. */
  async #each(trials: readonly Trial[], work: (trial: Trial) => Promise<void>): Promise<void> {
    const { parallel, signal } = this.#context.options;
    const queue = trials.values();
    const worker = async (): Promise<void> => {
      for (const trial of queue) {
        if (this.#failed.signal.aborted) return;
        await work(trial).catch((error: unknown) => this.#failed.abort(signal?.aborted ? error : failureOf(trial, error)));
      }
    };
    await Promise.all(Array.from({ length: parallel ?? 1 }, worker));
    this.#failed.signal.throwIfAborted();
  }

  /** Leaves behind, of the trials of one M, the projectors that learn worst. */
  async #halve(trials: readonly Trial[]): Promise<void> {
    const { stages, halving = { at: [], keep: 1 } } = this.#context.options;
    const steps = stages.reduce((sum, stage) => sum + stepsOf(stage), 0);
    let names = [...new Set(trials.map(({ projector }) => projector))];
    for (const share of halving.at) {
      const until = Math.max(1, Math.round(share * steps));
      const left = trials.filter(({ projector }) => names.includes(projector));
      await this.#each(left, async (trial) => {
        if (!this.#usedUp()) await runTrial(this.#context, trial, until);
      });
      if (this.#usedUp()) return;
      const ranked: { readonly name: string; readonly loss: number }[] = [];
      for (const name of names) {
        const own = left.filter(({ projector }) => projector === name);
        ranked.push({ name, loss: await this.#score(own, until) });
      }
      ranked.sort((a, b) => (a.loss < b.loss ? -1 : a.loss > b.loss ? 1 : 0)); // a difference would be NaN between two that diverged
      names = ranked.slice(0, Math.ceil(halving.keep * ranked.length)).map(({ name }) => name);
      for (const trial of left) if (!names.includes(trial.projector)) await this.#finish(trial, "here");
    }
  }

  /** The mean loss over a tenth of the steps before `until`, of all seeds; one that diverged is worse than any. */
  async #score(trials: readonly Trial[], until: number): Promise<number> {
    const losses: number[] = [];
    for (const trial of trials) {
      const points = await lossesOf(this.#context, trial);
      const last = points.filter(({ step }) => step <= until && step > Math.floor(0.9 * until));
      losses.push(points.length < until ? Number.POSITIVE_INFINITY : mean(last.map(({ loss }) => loss)));
    }
    return mean(losses);
  }

  async #finish(trial: Trial, until: "end" | "here"): Promise<void> {
    if (this.#results.has(nameOf(trial))) return;
    const fresh = !this.#isFinished(trial);
    const result = await runTrial(this.#context, trial, until);
    if (result === null) return;
    this.#results.set(nameOf(trial), result);
    await this.#write();
    const { size: done } = this.#results;
    await this.#context.options.onEvent?.({ type: "result", trial, result, fresh, done, of: this.#plan.trials.length });
  }

  #isFinished(trial: Trial): boolean {
    return existsSync(join(folderOf(this.#context, trial), "result.json"));
  }

  #write(): Promise<void> {
    return writeWhole(join(this.#context.options.out, "results.json"), `${JSON.stringify(this.#summary())}\n`);
  }

  #usedUp(): boolean {
    const { budget } = this.#context.options;
    return budget !== undefined && performance.now() - this.#began >= budget.minutes * 60_000;
  }

  #summary(): LabResults {
    const { options, questions } = this.#context;
    const { trials, patches } = this.#plan;
    const maps = trials.flatMap((trial): LabMap[] => {
      const drawn = this.#results.has(nameOf(trial)) && trial.seed === 0 ? [0, 1, 2] : [];
      const there = drawn.filter((picture) => existsSync(join(options.out, mapFile(trial, picture))));
      return there.map((picture) => ({ projector: trial.projector, tokens: trial.tokens, picture, file: mapFile(trial, picture) }));
    });
    return {
      version: 1,
      projectors: Object.keys(options.projectors),
      tokens: options.tokens,
      seeds: options.seeds,
      patches,
      questions: questions.asked,
      textOnly: questions.textOnly,
      trials: trials.flatMap((trial) => this.#results.get(nameOf(trial)) ?? []),
      maps,
    };
  }
}

function failureOf({ projector, tokens, seed }: Trial, cause: unknown): Error {
  return new Error(`${projector}, ${tokens} tokens, seed ${seed}: ${messageOf(cause)}`, { cause });
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
