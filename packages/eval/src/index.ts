export { around } from "./around.ts";
export { type ExactMatchOptions, exactMatches } from "./exact-matches.ts";
export { lab } from "./lab.ts";
export type { Halving, LabEvent, LabOptions, LabSpec, Trial } from "./lab-options.ts";
export { type Comparison, compareProjectors, type Duel, type Standing, type Subset } from "./report/comparison.ts";
export { labReport } from "./report/lab-report.ts";
export { writeLabReport } from "./report/write-report.ts";
export {
  type AskedQuestion,
  type FamilyScore,
  type LabMap,
  type LabResults,
  type LossPoint,
  readResults,
  resultsCsv,
  type TrialResult,
  type TrialStage,
} from "./results.ts";
export { type Confusion, type FamilyCard, type Scorecard, scorecard } from "./scorecard.ts";
export {
  bootstrapInterval,
  type Difference,
  type Draws,
  drawResamples,
  gapDifference,
  holm,
  type Interval,
  type PairedValues,
  pairedDifference,
  type Values,
} from "./statistics/bootstrap.ts";
