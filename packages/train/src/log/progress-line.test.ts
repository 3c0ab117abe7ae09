import { expect, test } from "vitest";
import { duration, ProgressLine } from "./progress-line.ts";
import type { TrainEvent } from "./train-event.ts";

const step = (n: number, of = 1000): TrainEvent => ({
  type: "step",
  of,
  record: { step: n, stage: "align", loss: 1.23456, gradNorm: 1, lr: 1e-4, tokensPerSecond: 23_456, waitMs: 0 },
});
const start = (n = 0): TrainEvent => ({ type: "start", stages: [{ name: "align", steps: 1000 }], totalSteps: 1000, step: n });

/** What is written, two seconds a step. */
function shown(events: readonly TrainEvent[], terminal: { readonly isTTY?: boolean; readonly columns?: number } = {}): string {
  const parts: string[] = [];
  let time = 0;
  const stream = { ...terminal, write: (part: string) => parts.push(part) };
  const log = new ProgressLine({ stream, now: () => time });
  for (const event of events) {
    if (event.type === "step") time += 2000;
    log.write(event);
  }
  log.close();
  return parts.join("");
}

const ERASE = "\u001b[K"; // as far as the end of the row

/** The rows of a terminal with a cursor that returns, erases and wraps. */
function screen(text: string, columns: number): string[] {
  const rows = [""];
  let at = 0;
  for (const sign of text.replaceAll(ERASE, "\0")) {
    const last = rows.length - 1;
    const row = rows[last] ?? "";
    if (sign === "\r") at = 0;
    else if (sign === "\n") at = rows.push("") * 0;
    else if (sign === "\0") rows[last] = row.slice(0, at);
    else if (at === columns) at = rows.push(sign) * 0 + 1;
    else {
      rows[last] = row.slice(0, at) + sign + row.slice(at + 1);
      at++;
    }
  }
  return rows;
}

test("plain lines where there is no terminal: the first step, one in ten seconds, the last", () => {
  const lines = shown([start(), ...Array.from({ length: 12 }, (_, i) => step(i + 1, 12))]).split("\n");
  expect(lines).toEqual([
    "align: 1000 steps",
    "align   1/12  loss 1.2346  lr 1.00e-4  23.5k tokens/s  22s left",
    "align   6/12  loss 1.2346  lr 1.00e-4  23.5k tokens/s  12s left",
    "align  11/12  loss 1.2346  lr 1.00e-4  23.5k tokens/s  2s left",
    "align  12/12  loss 1.2346  lr 1.00e-4  23.5k tokens/s  0s left",
    "",
  ]);
});

test.each([
  [200, "align    42/1000  loss 1.2346  lr 1.00e-4  23.5k tokens/s  31m 56s left"],
  [60, "align    42/1000  loss 1.2346  lr 1.00e-4  31m 56s left"],
  [45, "  42/1000  loss 1.2346  31m 56s left"],
  [25, "  42/1000  loss 1.2346"],
  [10, "  42/1000"],
  [4, "42"],
])("one row of a terminal %i columns wide, whatever fits", (columns, line) => {
  const rows = screen(shown([start(40), step(41), step(42)], { isTTY: true, columns }), columns);
  expect(rows.at(-2)).toBe(line);
  expect(rows.at(-1)).toBe("");
  expect(rows.filter((row) => row.includes("/1000"))).toHaveLength(columns < 10 ? 0 : 1);
});

test("other events stand above the line", () => {
  const events: TrainEvent[] = [
    start(),
    step(1),
    { type: "validation", step: 1, loss: 0.5 },
    { type: "checkpoint", step: 1, path: "out/step-1" },
    { type: "sample", step: 1, image: null, prompt: "What?", answer: "A bee.", expected: "A wasp." },
    step(2),
    { type: "end", step: 2, loss: 0.25, path: "out" },
  ];
  expect(screen(shown(events, { isTTY: true, columns: 100 }), 100)).toEqual([
    "align: 1000 steps",
    "step 1: validation loss 0.5000",
    "step 1: saved out/step-1",
    "step 1: “What?” → “A bee.”, expected “A wasp.”",
    "align     2/1000  loss 1.2346  lr 1.00e-4  23.5k tokens/s  33m 16s left",
    "done: 2 steps, loss 0.2500; learnt: out",
    "",
  ]);
});

test("a step that teaches nothing is told of once in a stage", () => {
  const idle = (n: number, stage: string): TrainEvent => {
    const event = step(n, 4);
    return event.type === "step" ? { ...event, record: { ...event.record, stage, gradNorm: n === 1 ? 1 : 0 } } : event;
  };
  const lines = shown([idle(1, "align"), idle(2, "align"), idle(3, "align"), idle(4, "tune")]).split("\n");
  expect(lines.filter((line) => line.includes("gradients"))).toEqual([
    "step 2: all gradients are 0: what align trains has no part in these samples (text without a picture?)",
    "step 4: all gradients are 0: what tune trains has no part in these samples (text without a picture?)",
  ]);
});

test("what comes from data cannot move the cursor, and skipped samples do not flood", () => {
  const sample: TrainEvent = {
    type: "sample",
    step: 1,
    image: null,
    prompt: "\u001b[2J\r\nx",
    answer: "a\u0007\u009b31mb",
    expected: "\u202ec",
  };
  const text = shown([
    sample,
    ...Array.from({ length: 30 }, (_, i): TrainEvent => ({ type: "skipped", id: `s\n${i}`, reason: "bad" })),
    { type: "end", step: 1, loss: 1, path: "out" },
  ]);
  expect(text.split("\n")).toEqual([
    "step 1: “[2J x” → “a 31mb”, expected “c”",
    ...Array.from({ length: 10 }, (_, i) => `skipped s ${i}: bad`),
    "further skipped samples are counted only",
    "done: 1 steps, loss 1.0000; learnt: out",
    "30 samples were skipped",
    "",
  ]);
});

test("time in words", () => {
  expect([0, 999, 61_000, 3_600_000, 360_000_000].map(duration)).toEqual(["0s", "1s", "1m 01s", "1h 00m", "100h 00m"]);
});
