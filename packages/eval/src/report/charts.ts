/** What is drawn, as the page's script takes it. */
import type { LabResults, LossPoint } from "../results.ts";
import type { Interval } from "../statistics/bootstrap.ts";
import type { Comparison, Standing, Subset } from "./comparison.ts";

export interface Chart {
  readonly title: string;
  /** Under the title: what its x and y are. */
  readonly of: string;
  /** "tokens": each number of tokens is a mark of a logarithmic axis. */
  readonly x: "tokens" | "seconds" | "steps";
  readonly series: readonly Series[];
  /** Horizontal ones. */
  readonly lines: readonly { readonly label: string; readonly y: number }[];
}

export interface Series {
  /** Its place among the projectors; decides the colour. */
  readonly projector: number;
  readonly points: readonly { readonly x: number; readonly y: number; readonly low?: number; readonly high?: number }[];
}

const subsetTitles: Readonly<Record<Subset, string>> = {
  all: "All questions",
  spatial: "Spatial questions",
  nonSpatial: "Other questions",
};

export function chartsOf(results: LabResults, { standings, textOnly }: Comparison): Chart[] {
  const chart = (subset: Subset, x: "tokens" | "seconds"): Chart => ({
    title: subsetTitles[subset],
    of: x === "tokens" ? "accuracy against visual tokens" : "accuracy against seconds per step",
    x,
    series: results.projectors.map((name, projector) => ({
      projector,
      points: standings.filter((standing) => standing.projector === name).flatMap((standing) => pointOf(standing, subset, x)),
    })),
    lines: baselines(standings, textOnly, subset),
  });
  return [
    ...(["all", "spatial", "nonSpatial"] as const).map((subset) => chart(subset, "tokens")),
    chart("all", "seconds"),
    ...results.tokens.map((tokens) => lossChart(results, tokens)),
  ].filter(({ series }) => series.some(({ points }) => points.length > 0));
}

function pointOf({ tokens, secondsPerStep, accuracy }: Standing, subset: Subset, x: "tokens" | "seconds"): Series["points"] {
  const found: Interval | null = accuracy[subset];
  return found === null ? [] : [{ x: x === "tokens" ? tokens : secondsPerStep, y: found.mean, low: found.low, high: found.high }];
}

function baselines(standings: readonly Standing[], textOnly: Comparison["textOnly"], subset: Subset): Chart["lines"] {
  const shuffled = standings.flatMap((standing) => standing.shuffled[subset] ?? []);
  const blind = textOnly[subset];
  return [
    ...(blind === null ? [] : [{ label: "questions only", y: blind }]),
    ...(shuffled.length === 0 ? [] : [{ label: "other pictures", y: mean(shuffled) }]),
  ];
}

/** Stopped trials show how far they came. */
function lossChart({ projectors, trials }: LabResults, tokens: number): Chart {
  const series = projectors.map((name, projector) => {
    const own = trials.filter((trial) => trial.projector === name && trial.tokens === tokens).map(({ losses }) => losses);
    return { projector, points: meanCurve(own) };
  });
  return { title: `Loss with ${tokens} tokens`, of: "training loss against steps, mean over seeds", x: "steps", series, lines: [] };
}

/** At each step that all of them have. */
function meanCurve(curves: readonly (readonly LossPoint[])[]): Series["points"] {
  const byStep = curves.map((points) => new Map(points.map(({ step, loss }) => [step, loss])));
  return [...(byStep[0]?.keys() ?? [])].flatMap((step) => {
    const losses = byStep.flatMap((curve) => curve.get(step) ?? []);
    return losses.length === curves.length ? [{ x: step, y: mean(losses) }] : [];
  });
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
