import type { LabResults, TrialResult } from "@waggle/eval";
import { expect, test } from "vitest";
import { contrastsOf, verdict } from "./lab-contrasts.ts";

const spatial = "1".repeat(40);
const none = "0".repeat(40);

/** What each projector gets right at 16 tokens: 40 spatial questions, then 40 others. */
function resultsOf(right: Readonly<Record<string, string>>): LabResults {
  const trial = (projector: string, seed: number): TrialResult => ({
    ...{ projector, tokens: 16, seed, status: "done", steps: 1, parameters: 1, secondsPerStep: 1, stages: [], losses: [], families: [] },
    ...{ right: right[projector] ?? "", shuffled: "", fingerprint: "" },
  });
  const projectors = Object.keys(right);
  return {
    ...{ version: 1, projectors, tokens: [16], seeds: 2, patches: 16, textOnly: "", maps: [] },
    questions: Array.from({ length: 80 }, (_, i) => ({ family: i < 40 ? "where" : "color", spatial: i < 40 })),
    trials: [0, 1].flatMap((seed) => projectors.map((projector) => trial(projector, seed))),
  };
}

const findingA = (right: Readonly<Record<string, string>>) =>
  contrastsOf(resultsOf(right))
    .filter(({ finding }) => finding === "a")
    .map((contrast) => [contrast.difference.mean, verdict(contrast)]);

test("a lead on spatial questions alone is the paper's finding; the Resampler's lead is its opposite; equals decide nothing", () => {
  const [better, worse] = [spatial + none, none + none];
  expect(findingA({ "C-Abstractor": better, "D-Abstractor": better, Resampler: worse })).toEqual([
    [1, "as in the paper"],
    [1, "as in the paper"],
  ]);
  expect(findingA({ "C-Abstractor": worse, "D-Abstractor": worse, Resampler: better })).toEqual([
    [-1, "the other way round"],
    [-1, "the other way round"],
  ]);
  expect(findingA({ "C-Abstractor": better, "D-Abstractor": better, Resampler: better })).toEqual([
    [0, "not decided"],
    [0, "not decided"],
  ]);
});

test("two locality-aware projectors count as their mean, and one that is missing leaves the claim out", () => {
  const [better, worse] = [spatial + none, none + none];
  expect(findingA({ "C-Abstractor": better, "D-Abstractor": worse, Resampler: worse })[0]?.[0]).toBe(0.5);
  expect(findingA({ "C-Abstractor": better, Resampler: worse })).toEqual([]);
});
