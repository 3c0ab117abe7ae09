import { access } from "node:fs/promises";
import { extname, resolve } from "node:path";
import type { LabEvent, LabSpec, Trial } from "@waggle/eval";
import type { ProgressLine } from "@waggle/train";
import { Command, InvalidArgumentError } from "commander";
import { importModule } from "./import-module.ts";
import { interruptible } from "./interruptible.ts";

export function labCommand(): Command {
  const report = new Command("report")
    .description("write report.html and results.csv anew, from the results.json of a lab's folder")
    .argument("<dir>", "the lab's folder")
    .action(async (folder: string) => {
      const { writeLabReport } = await import("@waggle/eval");
      process.stdout.write(`${await writeLabReport(folder)}\n`);
    });
  const run = new Command("run")
    .description("train what is missing and write the report; `run` itself may be left out")
    .argument("<spec>", "a module (.ts, .js) whose default export is a LabSpec of @waggle/eval")
    .requiredOption("--out <dir>", "the lab's folder; one that was begun goes on where it was")
    .option("--parallel <n>", "trials at once, each with its share of the threads", atLeastOne, 1)
    .action(runLab);
  return new Command("lab")
    .description("train projectors in the same setting at the same numbers of visual tokens, and compare them with error bars")
    .usage("<spec> --out <dir>, or waggle lab report <dir>")
    .addCommand(run.exitOverride(), { isDefault: true })
    .addCommand(report.exitOverride());
}

interface LabFlags {
  readonly out: string;
  readonly parallel: number;
}

async function runLab(file: string, { out, parallel }: LabFlags): Promise<void> {
  const spec = await openSpec(file);
  const [{ lab }, { ProgressLine }] = await Promise.all([import("@waggle/eval"), import("@waggle/train")]);
  const show = new Screen(() => new ProgressLine());
  const run = (signal: AbortSignal): Promise<unknown> => lab({ ...spec, out, parallel, signal, onEvent: (event) => show.event(event) });
  await interruptible(run, new Error("stopped; the same command goes on")).finally(() => show.close());
}

function atLeastOne(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError("expected a whole number from 1 on.");
  return value;
}

async function openSpec(file: string): Promise<LabSpec> {
  if (extname(file) === ".json") throw new Error(`${file}: expected a module (.ts, .js): projectors are functions, which JSON has not.`);
  await access(file).catch(() => {
    throw new Error(`${file}: there is no such spec.`);
  });
  const { default: spec } = (await importModule(resolve(file))) as { readonly default?: unknown };
  if (typeof spec === "object" && spec !== null && "projectors" in spec) return spec as LabSpec; // the rest is checked by lab()
  throw new Error(`${file}: expected a default export { projectors, tokens, … }, a LabSpec of @waggle/eval, got ${typeof spec}.`);
}

/** Finished trials on stdout, a line each; on stderr one that is trained, of several the one that began, or went on, last. */
class Screen {
  readonly #open: () => ProgressLine;
  #line: ProgressLine | null = null;
  #shown: Trial | null = null;

  constructor(open: () => ProgressLine) {
    this.#open = open;
  }

  event(event: LabEvent): void {
    if (event.type === "train") {
      if (event.event.type === "start") {
        this.close();
        this.#shown = event.trial; // halving leaves the one before where it stands
      }
      if (event.event.type !== "step" || (this.#shown ?? event.trial) !== event.trial) return;
      this.#shown = event.trial;
      this.#line ??= this.#open();
      this.#line.write(event.event);
      return;
    }
    this.close();
    if (event.type === "result" && event.trial === this.#shown) this.#shown = null;
    const text = messageOf(event);
    if (text !== "") process.stdout.write(`${text}\n`);
  }

  close(): void {
    this.#line?.close();
    this.#line = null;
  }
}

function messageOf(event: Exclude<LabEvent, { readonly type: "train" }>): string {
  switch (event.type) {
    case "plan":
      return [`${event.trials.length} trials`, ...event.left.map((pair) => `not defined: ${pair}`)].join("\n");
    case "result": {
      const { trial, result, fresh, done, of } = event;
      const hits = [...result.right].reduce((sum, digit) => sum + Number(digit), 0);
      const found = result.status === "done" ? `${((100 * hits) / result.right.length).toFixed(1)} %` : result.status;
      const name = `${trial.projector}, ${trial.tokens} tokens, seed ${trial.seed}`;
      return `${done}/${of}  ${name}: ${found}, ${result.secondsPerStep.toFixed(3)} s per step${fresh ? "" : " (was there)"}`;
    }
    case "budget":
      return `the budget is used up; ${event.left} trials are left for the same command`;
    case "end":
      return event.report;
    default:
      return event satisfies never;
  }
}
