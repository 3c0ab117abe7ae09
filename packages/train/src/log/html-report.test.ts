import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, expect, test } from "vitest";
import { HtmlReport, type HtmlReportOptions } from "./html-report.ts";
import type { ReportData } from "./report-data.ts";
import { dataOfReport } from "./report-page.ts";
import type { TrainEvent } from "./train-event.ts";

const EVIL = `</script><img src=x onerror="alert('1')">&amp;`;
let folder: string;
let image: Uint8Array;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "waggle-report-"));
  image = await sharp({ create: { width: 9, height: 7, channels: 3, background: "#fa0" } })
    .png()
    .toBuffer();
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const stages = [
  { name: "align", steps: 3 },
  { name: "tune", steps: 3 },
];
const start = (step = 0): TrainEvent => ({ type: "start", stages, totalSteps: 6, step });
const step = (n: number, loss = 6 / n): TrainEvent => ({
  type: "step",
  of: 6,
  record: { step: n, stage: n <= 3 ? "align" : "tune", loss, gradNorm: 1 / 3, lr: 1e-4, tokensPerSecond: 1000, waitMs: n },
});
const sample = (n: number, answer: string): TrainEvent => ({ type: "sample", step: n, image, prompt: EVIL, answer, expected: "a <bee>" });
const saved = (n: number): TrainEvent => ({ type: "checkpoint", step: n, path: "x" });

/** The page of these events, one second each; `close` is called at their end. */
async function page(path: string, events: readonly TrainEvent[], options: HtmlReportOptions = {}): Promise<string> {
  let time = 5000;
  const log = new HtmlReport(path, { now: () => time, ...options });
  for (const event of events) {
    await log.write(event);
    time += 1000;
  }
  await log.close();
  return readFile(path, "utf8");
}

function dataOf(html: string): ReportData {
  const data = dataOfReport(html);
  if (data === null) throw new Error("no data in the page");
  return data;
}

test("the page holds all that happened", async () => {
  const path = join(folder, "new", "report.html");
  const events: TrainEvent[] = [
    start(),
    ...[1, 2, 3].map((n) => step(n)),
    sample(3, "wasp"),
    { type: "validation", step: 3, loss: 2.5 },
    saved(3),
    ...[4, 5, 6].map((n) => step(n)),
    sample(6, "a <bee>"),
    { type: "end", step: 6, loss: 1, path: "out" },
  ];
  const settings = {
    seed: 3,
    "1 align": { optimizer: { lr: 1e-4, groups: [] }, trainable: ["projector", /lora/], parts: [{ name: "a" }] },
    nothing: null,
  };
  const html = await page(path, events, { title: "A <run>", settings });
  expect(await readdir(join(folder, "new"))).toEqual(["report.html"]);
  const { steps, samples, validation, ended, elapsed } = dataOf(html);
  expect(steps.step).toEqual([1, 2, 3, 4, 5, 6]);
  expect(steps.stage).toEqual(["align", "align", "align", "tune", "tune", "tune"]);
  expect(steps.loss).toEqual([6, 3, 2, 1.5, 1.2, 1]);
  expect(steps.gradNorm[0]).toBe(0.333333);
  expect(validation).toEqual([{ step: 3, loss: 2.5 }]);
  expect(samples.map(({ answers }) => answers)).toEqual([
    [
      { step: 3, answer: "wasp" },
      { step: 6, answer: "a <bee>" },
    ],
  ]);
  const [, bytes = ""] = /<img src="data:image\/png;base64,([^"]+)" alt="Picture of sample 1">/.exec(html) ?? [];
  expect(await sharp(Buffer.from(bytes, "base64")).metadata()).toMatchObject({ width: 9, height: 7 });
  expect([ended, elapsed]).toEqual([true, 11_000]);
  expect(html).toContain("From 6 at step 1 to 1 at step 6; lowest 1 at step 6, highest 6 at step 1.");
  for (const row of [
    "<caption>1 align",
    "optimizer.groups</th><td>–",
    "trainable</th><td>projector, /lora/",
    "parts.0.name</th><td>a",
    "nothing</th><td>null",
  ])
    expect(html).toContain(row);
});

test("nothing in it can run but the page's own scripts, and nothing is fetched", async () => {
  const html = await page(join(folder, "evil.html"), [start(), step(1), sample(1, EVIL), { type: "skipped", id: EVIL, reason: EVIL }], {
    title: EVIL,
    settings: { [EVIL]: EVIL },
  });
  const [policy = ""] = /default-src 'none';[^"]*/.exec(html) ?? [];
  const scripts = [...html.matchAll(/<script>([\s\S]*?)<\/script>/g)].map(([, source = ""]) => source);
  expect(scripts).toHaveLength(2);
  for (const source of scripts) expect(policy).toContain(`'sha256-${createHash("sha256").update(source).digest("base64")}'`);
  expect(html.match(/<\/?script/g)).toHaveLength(6);
  expect(html).not.toContain("<img src=x");
  const markup = html.replace(/<script[\s\S]*?<\/script>|<!--[\s\S]*?-->/g, "");
  expect(markup).not.toMatch(/https?:|<link|url\(/);
  expect(dataOf(html).skipped).toEqual([{ id: EVIL, reason: EVIL }]); // and what was said is what is shown
  expect(html).toContain("&lt;/script&gt;&lt;img src=x onerror=&quot;alert(&#39;1&#39;)&quot;&gt;&amp;amp;");
});

test("a run that was killed goes on with the page of its checkpoint", async () => {
  const path = join(folder, "resumed.html");
  const before: TrainEvent[] = [start(), step(1), step(2), sample(2, "one"), saved(2), step(3, 99), sample(3, "lost")];
  await page(path, before);
  const html = await page(path, [start(2), step(3), step(4), sample(4, "two"), saved(4)]);
  const { steps, samples, ended, elapsed } = dataOf(html);
  expect(steps.loss).toEqual([6, 3, 2, 1.5]);
  expect(samples.map(({ answers }) => answers.map(({ answer }) => answer))).toEqual([["one", "two"]]);
  expect(ended).toBe(false);
  expect(elapsed).toBe(7000 + 4000);
  expect(dataOf(await page(path, [start(), step(1)])).steps.loss).toEqual([6]);
});

test("many skipped samples are counted, the first ones named", async () => {
  const skipped = Array.from({ length: 250 }, (_, i): TrainEvent => ({ type: "skipped", id: `s${i}`, reason: "bad" }));
  const html = await page(join(folder, "skipped.html"), [start(), ...skipped]);
  expect(html).toContain("Skipped samples (250)");
  expect(html).toContain("And 50 more.");
  expect(html).toContain("No step was taken.");
});

test("a file that is no report is left as it is", async () => {
  const path = join(folder, "diary.html");
  await writeFile(path, "<p>Dear diary");
  const log = new HtmlReport(path);
  await expect(log.write(start())).rejects.toThrow("is not the page of a run");
  await expect(log.write(step(1))).resolves.toBeUndefined();
  await log.close();
  expect(await readFile(path, "utf8")).toBe("<p>Dear diary");
});
