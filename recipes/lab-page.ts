/**
 * Writes README.md of a lab's folder from its results.json: the tables beside those of Honeybee's paper, and what the run says about the
 * paper's findings. Every number and every verdict is computed.
 *
 *     node --conditions=@waggle/source --import tsx recipes/lab-page.ts docs/lab
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Comparison, compareProjectors, type Interval, type LabResults, readResults, type Standing } from "@waggle/eval";
import { PAPER, PAPER_PATCHES, type PaperRow } from "./honeybee-tables.ts";
import { type Contrast, contrastsOf, verdict } from "./lab-contrasts.ts";

const [folder = "docs/lab"] = process.argv.slice(2);
const results = await readResults(join(folder, "results.json"));
writeFileSync(join(folder, "README.md"), page(results, compareProjectors(results), contrastsOf(results)));

function page(results: LabResults, comparison: Comparison, contrasts: readonly Contrast[]): string {
  const { trials, seeds, questions, patches } = results;
  const spatial = questions.filter((question) => question.spatial).length;
  const done = trials.filter(({ status }) => status === "done").length;
  const steps = trials[0]?.stages.map((stage) => `${stage.steps} of ${stage.name}`).join(" and ") ?? "none";
  const of = (finding: Contrast["finding"]): Contrast[] => contrasts.filter((contrast) => contrast.finding === finding);
  return `# Which projector, at how many tokens

<!-- Written by recipes/lab-page.ts from results.json; \`npm run lab\` makes both. -->

Honeybee's comparison of projectors (arXiv 2312.06742) at the scale of two CPU cores: ${done} trials, each ${steps} steps, ${seeds} seeds; ${questions.length} questions
about as many unseen pictures, ${spatial} of them spatial. N = ${patches} patches. [report.html](report.html) has curves, all pairs and what each projector looked at; [results.json](results.json)
and [results.csv](results.csv) have the numbers. \`npm run lab\` trains what is missing and writes all of it; \`node --conditions=@waggle/source --import tsx recipes/lab-page.ts docs/lab\` this page alone.

## What the run found

Differences in points of percent with 95 % intervals of a paired bootstrap over questions and seeds; p after Holm's correction over all ${contrasts.length} contrasts of this page.
A claim is decided where that p is below 0.05.

### (a) Locality-aware projectors and the Resampler

${conclusion(of("a"))}

${contrastTable(of("a"))}

### (b) The linear projector

${conclusion(of("b"))} ${linearCost(results, comparison)}

${contrastTable(of("b"))}

### (c) More tokens

${conclusion(of("c"))} ${tokenCost(results, comparison)}

${contrastTable(of("c"))}

## Accuracy

Percent of answers right letter by letter.

${accuracyTable(results, comparison)}

## Beside the paper

The paper's M is given as a share of its N = ${PAPER_PATCHES}, ours of N = ${patches}; rows stand side by side where the shares are closest. The scales differ (other questions, other
scores), so it is order and gaps that can be compared. –: not published, or not trained.

${paperTable(results, comparison)}

What differs, and may explain what does: a language model of 0.9 million parameters in the place of one of 7 billion, and an encoder of 0.8 million; ${trials[0]?.steps ?? 0} steps in the
place of 54,000, so that what is compared is above all how soon a projector becomes useful; projectors a third as deep as the paper's, of ${parameterRange(results)} parameters, where the paper's
Resampler has 105 and its C-Abstractor 37 million; drawn scenes of one to five things in the place of photographs: a few queries can go and fetch them wherever they are, and a mean over neighbouring
patches is mostly background; and an encoder whose ${patches} features of ${Math.sqrt(patches)} × ${Math.sqrt(patches)} patches say where they are.
`;
}

function parameterRange({ trials }: LabResults): string {
  const counts = trials.map(({ parameters }) => parameters);
  return [Math.min(...counts), Math.max(...counts)].map((count) => count.toLocaleString("en")).join(" to ");
}

/** In one sentence, from the verdicts. */
function conclusion(contrasts: readonly Contrast[]): string {
  const count = (what: ReturnType<typeof verdict>): number => contrasts.filter((contrast) => verdict(contrast) === what).length;
  const parts = (["as in the paper", "the other way round", "not decided"] as const).flatMap((what) =>
    count(what) > 0 ? [`${count(what)} ${what}`] : [],
  );
  return parts.length === 0 ? "Nothing was trained that could tell." : `Of ${contrasts.length} claims: ${parts.join(", ")}.`;
}

function contrastTable(contrasts: readonly Contrast[]): string {
  if (contrasts.length === 0) return "";
  const rows = contrasts.map((contrast) => {
    const { claim, difference, adjusted } = contrast;
    return [claim, interval(difference, signed), adjusted < 0.001 ? "< 0.001" : adjusted.toFixed(3), verdict(contrast)];
  });
  return table(["claim of the paper", "measured", "p", "so"], rows);
}

function linearCost({ patches }: LabResults, { standings }: Comparison): string {
  const linear = standings.find(({ projector }) => projector === "Linear");
  const rows = standings.flatMap((other) => {
    if (!linear || other.projector !== "C-Abstractor" || other.tokens >= patches) return [];
    const ratio = linear.secondsPerStep / other.secondsPerStep;
    return [
      `${ratio.toFixed(2)} times as long as one of the C-Abstractor at M = ${other.tokens} (paper: 1.36 times at M = 0.56 N, 1.84 at N / 4)`,
    ];
  });
  return rows.length === 0 ? "" : `It needs M = N = ${patches}, and a step takes ${rows.join(", ")}.`;
}

function tokenCost({ tokens }: LabResults, { standings }: Comparison): string {
  const [most, least] = [Math.max(...tokens), Math.min(...tokens)];
  const ratios = standings.flatMap((standing) => {
    const small = standings.find(({ projector, tokens: M }) => projector === standing.projector && M === least);
    return small && standing.tokens === most && most > least ? [standing.secondsPerStep / small.secondsPerStep] : [];
  });
  if (ratios.length === 0) return "";
  return `A step with ${most} tokens takes ${Math.min(...ratios).toFixed(1)} to ${Math.max(...ratios).toFixed(1)} times as long as one with ${least}.`;
}

function accuracyTable({ tokens, patches }: LabResults, { standings, textOnly }: Comparison): string {
  const rows = tokens.flatMap((M) =>
    standings
      .filter((standing) => standing.tokens === M)
      .map(({ projector, accuracy, shuffled, secondsPerStep, parameters }) => [
        `${M} (${share(M, patches)})`,
        projector,
        ...[accuracy.spatial, accuracy.nonSpatial, accuracy.all].map((found) => (found ? interval(found, percent) : "–")),
        percent(shuffled.all),
        secondsPerStep.toFixed(3),
        parameters.toLocaleString("en"),
      ]),
  );
  const blind = ["", "questions only", percent(textOnly.spatial), percent(textOnly.nonSpatial), percent(textOnly.all), "", "", ""];
  return table(["M", "projector", "spatial", "other", "all", "other pictures", "s per step", "parameters"], [...rows, blind]);
}

function paperTable({ patches, projectors }: LabResults, { standings }: Comparison): string {
  const rows = projectors.flatMap((projector) => {
    const own = standings.filter((standing) => standing.projector === projector);
    const published = PAPER.filter((row) => row.projector === projector);
    const pairs = own.map((standing) => ({ standing, row: published.find((row) => nearest(own, row, patches) === standing) }));
    const alone = published.filter((row) => !pairs.some((pair) => pair.row === row));
    return [...pairs, ...alone.map((row) => ({ standing: undefined, row }))].map(({ standing, row }) =>
      cells(projector, standing, row, patches),
    );
  });
  return table(
    ["projector", "M / N", "spatial", "all", "s per step", "paper: M / N", "spatial (table 3)", "all (tables 8, 9)", "s per step"],
    rows,
  );
}

/** The one of ours whose share of tokens is that of a published row, by less than half. */
function nearest(own: readonly Standing[], row: PaperRow, patches: number): Standing | undefined {
  const distance = ({ tokens }: Standing): number => Math.abs(Math.log((tokens / patches) * (PAPER_PATCHES / row.tokens)));
  const [first] = [...own].sort((a, b) => distance(a) - distance(b));
  return first && distance(first) < Math.log(1.5) ? first : undefined;
}

function cells(projector: string, standing: Standing | undefined, row: PaperRow | undefined, patches: number): string[] {
  const ours = standing
    ? [
        share(standing.tokens, patches),
        percent(standing.accuracy.spatial?.mean ?? null),
        percent(standing.accuracy.all?.mean ?? null),
        standing.secondsPerStep.toFixed(3),
      ]
    : ["–", "–", "–", "–"];
  const theirs = [row && share(row.tokens, PAPER_PATCHES), row?.spatial?.toFixed(1), row?.all?.toFixed(1), row?.seconds?.toFixed(2)];
  return [projector, ...ours, ...theirs.map((cell) => cell ?? "–")];
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => "---"), ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n");
}

function share(tokens: number, patches: number): string {
  return (tokens / patches).toFixed(2);
}

function percent(value: number | null): string {
  return value === null ? "–" : (100 * value).toFixed(1);
}

function signed(value: number): string {
  return `${value < 0 ? "−" : "+"}${percent(Math.abs(value))}`;
}

function interval({ mean, low, high }: Interval, text: (value: number) => string): string {
  return `${text(mean)} [${text(low)}, ${text(high)}]`;
}
