import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type LabResults, readResults, type TrialResult } from "../results.ts";
import { compareProjectors, significanceMark } from "./comparison.ts";
import { labReport } from "./lab-report.ts";

const Q = 40;
/** Spatial questions are the even ones. */
const digits = (right: (q: number) => boolean): string => Array.from({ length: Q }, (_, q) => Number(right(q))).join("");
const trial = (projector: string, seed: number, right: string, rest: Partial<TrialResult> = {}): TrialResult => ({
  ...{ projector, tokens: 4, seed, status: "done", steps: 10, parameters: 1234, secondsPerStep: 0.25 + seed / 4, stages: [] },
  ...{ losses: [{ step: 10, loss: 1 }], families: [], right, shuffled: digits((q) => q % 4 === 0), fingerprint: "" },
  ...rest,
});
const results: LabResults = {
  ...{ version: 1, projectors: ["<A>", "B", "C"], tokens: [4, 16], seeds: 2, patches: 16, maps: [] },
  questions: Array.from({ length: Q }, (_, q) => ({ family: q % 2 === 0 ? "where" : "color", spatial: q % 2 === 0 })),
  textOnly: digits((q) => q < 10),
  trials: [
    trial(
      "<A>",
      0,
      digits(() => true),
    ),
    trial(
      "<A>",
      1,
      digits((q) => q % 2 === 0),
    ),
    trial(
      "B",
      0,
      digits((q) => q % 2 === 1),
    ),
    trial(
      "B",
      1,
      digits(() => false),
    ),
    trial(
      "C",
      1,
      digits((q) => q % 2 === 0),
    ),
    trial("C", 0, "", { status: "stopped" }),
    trial(
      "B",
      0,
      digits(() => true),
      { tokens: 16 },
    ),
  ],
};

describe("a comparison", () => {
  const { standings, duels, textOnly, textOnlyFamilies } = compareProjectors(results);
  const duel = (a: string, b: string, about: string) => duels.find((each) => each.a === a && each.b === b && each.about === about);

  test("has the mean over seeds of each subset, without trials that were stopped", () => {
    expect(standings.map(({ projector, tokens, seeds }) => [projector, tokens, seeds])).toEqual([
      ["<A>", 4, 2],
      ["B", 4, 2],
      ["C", 4, 1],
      ["B", 16, 1],
    ]);
    const [a] = standings;
    expect(a).toMatchObject({ secondsPerStep: 0.375, parameters: 1234, families: { where: 1, color: 0.5 } });
    expect([a?.accuracy.all?.mean, a?.accuracy.spatial?.mean, a?.accuracy.nonSpatial?.mean]).toEqual([0.75, 1, 0.5]);
    expect(a?.accuracy.spatial).toEqual({ mean: 1, low: 1, high: 1 });
    expect(a?.shuffled).toEqual({ all: 0.25, spatial: 0.5, nonSpatial: 0 });
    expect(textOnly).toEqual({ all: 0.25, spatial: 0.25, nonSpatial: 0.25 });
    expect(textOnlyFamilies).toEqual({ where: 0.25, color: 0.25 });
  });

  test("pairs the same questions and the seeds that both have, at the same M", () => {
    expect(new Set(duels.map(({ tokens, a, b, seeds }) => `${tokens} ${a} ${b} ${seeds}`))).toEqual(
      new Set(["4 <A> B 2", "4 <A> C 1", "4 B C 1"]),
    );
    // A is right on every spatial question where B is wrong, and on as many of the others, with either seed.
    expect(duel("<A>", "B", "spatial")?.difference).toMatchObject({ mean: 1, low: 1, high: 1 });
    expect(duel("<A>", "B", "nonSpatial")?.difference).toMatchObject({ mean: 0, low: 0, high: 0, p: 1 });
    expect(duel("<A>", "B", "gap")?.difference).toMatchObject({ mean: 1, low: 1, high: 1 });
    expect(duel("<A>", "C", "all")?.difference).toMatchObject({ mean: 0, p: 1 });
  });

  test("corrects for all pairs about the same questions", () => {
    const certain = 2 / 10_001; // no resample of 10 000 on the other side
    expect(duel("<A>", "B", "spatial")?.difference.p).toBeCloseTo(certain, 12);
    expect(duel("<A>", "B", "spatial")?.adjusted).toBeCloseTo(3 * certain, 12);
    expect([0.2, 0.04, 0.009, 0.0009].map(significanceMark)).toEqual(["", "*", "**", "***"]);
  });
});

test("results.json is refused where a digit is missing", async () => {
  const folder = mkdtempSync(join(tmpdir(), "waggle-results-"));
  const trials = results.trials.map((each, i) => (i === 2 ? { ...each, right: "101" } : each));
  writeFileSync(join(folder, "results.json"), JSON.stringify({ ...results, textOnly: "1", trials }));
  await expect(readResults(join(folder, "results.json"))).rejects.toThrow(
    /textOnly: expected 40 digits, one for each question, got 1\n {2}trials\[2\]\.right: expected 40 digits/,
  );
  writeFileSync(join(folder, "results.json"), JSON.stringify(results));
  expect(await readResults(join(folder, "results.json"))).toEqual(results);
  rmSync(folder, { recursive: true });
});

test("the page holds every number, escapes names, and fetches nothing", async () => {
  const page = await labReport(results, new Map());
  expect(page).toContain("&lt;A&gt; − B");
  expect(page).not.toContain("<A>");
  expect(page).toContain("75.0 <small>");
  expect(page).toContain("+100.0 <small>[+100.0, +100.0]</small>***");
  expect(page).toMatch(/6 finished, 1 stopped/);
  expect(page).not.toMatch(/(src|href)="(?!data:)/);
  const json = /<script type="application\/json" id="lab">(.*?)<\/script>/.exec(page)?.[1] ?? "";
  const { charts } = JSON.parse(json) as { charts: { title: string; series: { points: unknown[] }[]; lines: { y: number }[] }[] };
  expect(charts.map(({ title }) => title)).toEqual([
    ...["All questions", "Spatial questions", "Other questions", "All questions", "Loss with 4 tokens", "Loss with 16 tokens"],
  ]);
  expect(charts[0]?.series[1]?.points).toHaveLength(2);
  expect(charts[0]?.lines.map(({ y }) => y)).toEqual([0.25, 0.25]);
});
