import { appendFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { JsonLines, stepLine } from "./json-lines.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "waggle-lines-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const line = (step: number, loss = 1 / step): string =>
  stepLine({ step, stage: "align", loss, gradNorm: 0.5, lr: 1e-4, tokensPerSecond: 1000, waitMs: 2 });

/** The steps after `from` as far as `to`, in one go. */
async function run(path: string, from: number, to: number, loss?: number): Promise<void> {
  const log = new JsonLines(path);
  await log.write({ type: "start", stages: [], totalSteps: 9, step: from });
  for (let step = from + 1; step <= to; step++) await log.write({ type: "step", record: JSON.parse(line(step, loss)), of: 9 });
  await log.write({ type: "checkpoint", step: to, path: "x" });
  await log.write({ type: "end", step: to, loss: 1, path: "out" });
  await log.close();
}

test("a line has the seven fields, in their order, and nothing else", () => {
  const record = { waitMs: 2, tokensPerSecond: 10.5, lr: 1e-4, gradNorm: 3, loss: 0.25, stage: 'a"b', step: 7, more: "x" };
  expect(stepLine(record)).toBe('{"step":7,"stage":"a\\"b","loss":0.25,"gradNorm":3,"lr":0.0001,"tokensPerSecond":10.5,"waitMs":2}\n');
});

test("a resumed run goes on behind its checkpoint", async () => {
  const path = join(folder, "new", "steps.jsonl");
  await run(path, 0, 12);
  await appendFile(path, '{"step":13,"sta'); // killed while writing
  await run(path, 10, 12, 5);
  expect(await readFile(path, "utf8")).toBe([1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map((step) => line(step)).join("") + line(11, 5) + line(12, 5));
  await run(path, 0, 1);
  expect(await readFile(path, "utf8")).toBe(line(1));
});

test.each([
  ["half a line of a step", '{"step":2'],
  ["the very beginning of one", "{"],
  ["a whole line without its end", line(2).trimEnd()],
])("%s goes", async (name, rest) => {
  const path = join(folder, `${name}.jsonl`);
  await writeFile(path, line(1) + rest);
  await run(path, 2, 2);
  expect(await readFile(path, "utf8")).toBe(line(1));
});

test.each([
  ["a text", "Dear diary,\n", 0],
  ["a text without a line feed", "Dear", 0],
  ["other JSON lines", '{"id":1}\n', 0],
  ["a damaged line in the middle", `${line(1)}garbage\n${line(3)}`, line(1).length],
])("%s is left as it is", async (name, content, at) => {
  const path = join(folder, `${name}.txt`);
  await writeFile(path, content);
  const log = new JsonLines(path);
  await expect(log.write({ type: "start", stages: [], totalSteps: 1, step: 3 })).rejects.toThrow(`found something else at byte ${at}`);
  expect(await readFile(path, "utf8")).toBe(content);
});
