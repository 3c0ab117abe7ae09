/** A run in the terminal: one line that is rewritten, and a line of its own for whatever else happens. */
import type { StepRecord } from "../step-record.ts";
import type { TrainEvent } from "./train-event.ts";
import type { TrainLog } from "./train-log.ts";

/** What is used of a `tty.WriteStream`. */
export interface TextStream {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

export interface ProgressLineOptions {
  /** Default: standard error, since standard output is for results. */
  readonly stream?: TextStream;
  /** Milliseconds. Default: the clock's. */
  readonly now?: () => number;
}

/** Time between two drawings in a terminal, and between two lines elsewhere, in ms. */
const [REDRAW, NEXT_LINE] = [80, 10_000];
/** Steps over which the time of one is averaged. */
const WINDOW = 50;
/** Skipped samples that are named; the rest is counted. */
const NAMED = 10;

export class ProgressLine implements TrainLog {
  readonly #stream: TextStream;
  readonly #now: () => number;
  /** When the run began and the latest steps ended. */
  #times: number[] = [];
  #drawnAt = Number.NEGATIVE_INFINITY;
  #line = "";
  #skipped = 0;
  /** Stages of which it was said that a batch teaches them nothing. */
  readonly #idle = new Set<string>();

  constructor({ stream = process.stderr, now = Date.now }: ProgressLineOptions = {}) {
    this.#stream = stream;
    this.#now = now;
  }

  write(event: TrainEvent): void {
    if (event.type === "step") this.#step(event.record, event.of);
    else if (event.type === "skipped") this.#skip(event.id, event.reason);
    else {
      if (event.type === "start") this.#times = [this.#now()];
      if (event.type === "end") this.close();
      this.#say(messageOf(event));
      if (event.type === "end" && this.#skipped > NAMED) this.#say(`${this.#skipped} samples were skipped`);
    }
  }

  close(): void {
    if (this.#line !== "" && this.#stream.isTTY) this.#stream.write("\n");
    this.#line = "";
  }

  #step(record: StepRecord, of: number): void {
    if (record.gradNorm === 0 && !this.#idle.has(record.stage)) {
      this.#idle.add(record.stage);
      this.#say(
        `step ${record.step}: all gradients are 0: what ${record.stage} trains has no part in these samples (text without a picture?)`,
      );
    }
    const now = this.#now();
    this.#times = [...this.#times.slice(-WINDOW), now];
    const last = record.step === of;
    if (!last && now - this.#drawnAt < (this.#stream.isTTY ? REDRAW : NEXT_LINE)) return;
    this.#drawnAt = now;
    const perStep = (now - (this.#times[0] ?? now)) / Math.max(1, this.#times.length - 1);
    const left = duration((of - record.step) * perStep);
    if (!this.#stream.isTTY) return void this.#stream.write(`${progressText(record, of, left, Number.POSITIVE_INFINITY)}\n`);
    // The last column stays free: a full line would make some terminals begin the next.
    this.#line = progressText(record, of, left, (this.#stream.columns || 80) - 1);
    this.#stream.write(`\r${this.#line}\u001b[K`);
  }

  /** A line that stays, above the one that is rewritten. */
  #say(text: string): void {
    this.#stream.write(this.#stream.isTTY ? `\r\u001b[K${text}\n${this.#line}` : `${text}\n`);
  }

  #skip(id: string, reason: string): void {
    this.#skipped++;
    if (this.#skipped <= NAMED) this.#say(`skipped ${printable(id)}: ${printable(reason)}`);
    if (this.#skipped === NAMED) this.#say("further skipped samples are counted only");
  }
}

function messageOf(event: Exclude<TrainEvent, { type: "step" } | { type: "skipped" }>): string {
  const at = `step ${event.step}`;
  switch (event.type) {
    case "start": {
      const stages = event.stages.map(({ name, steps }) => `${name}: ${steps} steps`).join(", ");
      return event.step > 0 ? `${stages}; going on behind ${at}` : stages;
    }
    case "sample":
      return `${at}: ${quoted(event.prompt)} → ${quoted(event.answer)}, expected ${quoted(event.expected)}`;
    case "validation":
      return `${at}: validation loss ${event.loss.toFixed(4)}`;
    case "checkpoint":
      return `${at}: saved ${printable(event.path)}`;
    case "end":
      return `done: ${event.step} steps, loss ${event.loss.toFixed(4)}; learnt: ${printable(event.path)}`;
  }
}

/** As many of the fields as fit into `columns`, the least needed left out first. */
function progressText({ step, stage, loss, lr, tokensPerSecond }: StepRecord, of: number, left: string, columns: number): string {
  const fields = [
    { rank: 4, text: stage },
    { rank: 0, text: `${String(step).padStart(String(of).length)}/${of}` },
    { rank: 1, text: `loss ${loss.toFixed(4)}` },
    { rank: 3, text: `lr ${lr.toExponential(2)}` },
    { rank: 5, text: `${rate(tokensPerSecond)} tokens/s` },
    { rank: 2, text: `${left} left` },
  ];
  for (let most = 5; most >= 0; most--) {
    const line = fields.flatMap(({ rank, text }) => (rank <= most ? [text] : [])).join("  ");
    if (line.length <= columns) return line;
  }
  return `${step}`.slice(0, Math.max(0, columns));
}

function rate(value: number): string {
  return value >= 10_000 ? `${(value / 1000).toFixed(1)}k` : value.toFixed(0);
}

/** 250 000 ms → "4m 10s" */
export function duration(ms: number): string {
  const seconds = Math.round(ms / 1000);
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor((seconds % 3600) / 60), seconds % 60];
  const two = (value: number): string => String(value).padStart(2, "0");
  if (h > 0) return `${h}h ${two(m)}m`;
  return m > 0 ? `${m}m ${two(s)}s` : `${s}s`;
}

/** Without what a terminal would obey: answers and ids come from anywhere. */
function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]+/gu, " ");
}

function quoted(text: string): string {
  const plain = printable(text).trim();
  return `“${plain.length > 80 ? `${[...plain].slice(0, 79).join("")}…` : plain}”`;
}
