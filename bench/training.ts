/**
 * A training step (forward, backward, AdamW) beside PyTorch's on the CPU, and the memory that both take.
 *
 *     npm run bench -- training [--case decoder|llava|c-abstractor] [--rounds 15] [--threads 2]
 *
 * Both sides are processes of their own with the same parameters and the same batch, and take turns; PyTorch is
 * reference/training_bench.py (Python with torch and transformers; without it, ours alone). Medians; the ratio is the median
 * of the ratios of neighbouring steps. Losses and gradient norms are compared first: it is the same training.
 */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { median, numberOption } from "./random-llama.ts";
import { type CaseName, caseNames } from "./training-cases.ts";

interface Step {
  readonly milliseconds: number;
  /** Processor time of all threads. */
  readonly processor: number;
  readonly loss: number;
  readonly gradNorm: number;
}

interface Peak {
  /** The process's, in bytes; and what it had before the first step. */
  readonly peak: number;
  readonly before: number;
}

const WARM = 3;
const rounds = numberOption("rounds", 15);
const threads = numberOption("threads", 2);
const root = new URL("..", import.meta.url).pathname;

class Side {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;

  constructor(command: string, options: readonly string[]) {
    this.#child = spawn(command, options, { stdio: ["pipe", "pipe", "inherit"] }) as unknown as ChildProcessWithoutNullStreams;
    this.#child.on("error", () => {}); // no Python: the first answer does not come
    this.#child.stdin.on("error", () => {});
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  /** null: the process is not there, or has ended. */
  async answer<T>(request: string): Promise<T | null> {
    if (request !== "") this.#child.stdin.write(`${request}\n`);
    const { value, done } = await this.#lines.next();
    return done ? null : (JSON.parse(value) as T);
  }

  async end(): Promise<void> {
    const running = this.#child.pid !== undefined && this.#child.exitCode === null;
    this.#child.stdin.end();
    if (running) await once(this.#child, "exit");
  }
}

for (const name of wantedCases()) await compare(name);

function wantedCases(): readonly CaseName[] {
  const at = process.argv.indexOf("--case");
  const wanted = caseNames.filter((name) => at < 0 || process.argv[at + 1] === name);
  if (wanted.length === 0) throw new Error(`--case: expected one of ${caseNames.join(", ")}, got ${process.argv[at + 1]}`);
  return wanted;
}

async function compare(name: CaseName): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "waggle-training-"));
  const ours = new Side(process.execPath, [...process.execArgv, join(root, "bench/training-side.ts"), name, folder, `${threads}`]);
  try {
    const { title } = (await ours.answer<{ title: string }>("")) ?? { title: "" };
    const theirs = new Side("python3", [join(root, "reference/training_bench.py"), name, folder, `${threads}`]);
    const sides = (await theirs.answer<object>("")) === null ? [ours] : [ours, theirs];
    const steps = await measure(sides);
    const peaks = await Promise.all(sides.map((side) => side.answer<Peak>("peak")));
    await theirs.end();
    print(title, steps, peaks);
  } finally {
    await ours.end();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function measure(sides: readonly Side[]): Promise<readonly (readonly Step[])[]> {
  const steps = sides.map((): Step[] => []);
  for (let round = 0; round < WARM + rounds; round++) {
    const order = [...sides.keys()];
    for (const i of round % 2 === 0 ? order : order.reverse()) {
      const step = await sides[i]?.answer<Step>("step");
      if (step) steps[i]?.push(step);
    }
  }
  return steps;
}

function print(title: string, steps: readonly (readonly Step[])[], peaks: readonly (Peak | null)[]): void {
  console.log(`\n${title}, ${threads} threads`);
  for (const [i, side] of steps.entries()) {
    const timed = side.slice(WARM);
    const [first, peak] = [side[0], peaks[i]];
    const [wall, processor] = [timed.map((step) => step.milliseconds), timed.map((step) => step.processor)];
    console.log(
      `  ${i === 0 ? "waggle " : "PyTorch"}  median ${median(wall).toFixed(1)} ms, least ${Math.min(...wall).toFixed(1)}   processor ${median(processor).toFixed(0)} ms, least ${Math.min(...processor).toFixed(0)}   ` +
        `peak ${megabytes(peak?.peak)}, ${megabytes(peak ? peak.peak - peak.before : undefined)} of it by training   ` +
        `first loss ${first?.loss.toFixed(6)}, gradient ${first?.gradNorm.toFixed(6)}`,
    );
  }
  const [ours = [], theirs] = steps.map((side) => side.slice(WARM));
  if (theirs === undefined) {
    console.log("  PyTorch is not here (python3 with torch and transformers).");
    return;
  }
  const ratio = (key: "milliseconds" | "processor"): string =>
    median(ours.map((step, i) => step[key] / (theirs[i]?.[key] ?? 1))).toFixed(2);
  const memory = (from: (peak: Peak) => number): string => (peaks[0] && peaks[1] ? from(peaks[0]) / from(peaks[1]) : Number.NaN).toFixed(2);
  console.log(
    `  ratio    time ${ratio("milliseconds")}   processor ${ratio("processor")}, of the least ${(least(ours) / least(theirs)).toFixed(2)}   memory ${memory(({ peak }) => peak)}, of training ${memory(({ peak, before }) => peak - before)}`,
  );
}

/** On a machine with other work, processor time is disturbed too, through caches and waiting threads; its minimum is least. */
function least(steps: readonly Step[]): number {
  return Math.min(...steps.map((step) => step.processor));
}

function megabytes(bytes: number | undefined): string {
  return `${((bytes ?? Number.NaN) / 1e6).toFixed(0)} MB`;
}
