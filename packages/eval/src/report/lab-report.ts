/** A lab's results as one HTML page that needs no other file and asks nobody for anything. */
import { escapeHtml, htmlPage } from "@waggle/train";
import type { LabMap, LabResults } from "../results.ts";
import type { Interval } from "../statistics/bootstrap.ts";
import { chartsOf } from "./charts.ts";
import { type Comparison, compareProjectors, type Duel, type Standing, significanceMark } from "./comparison.ts";

/** `drawings`: PNG files by the names that `results.maps` gives them; a missing one is left out. */
export function labReport(results: LabResults, drawings: ReadonlyMap<string, Uint8Array> = new Map()): Promise<string> {
  const comparison = compareProjectors(results);
  const own = (name: string): URL => new URL(`../../report/${name}`, import.meta.url);
  return htmlPage({
    title: "Projector lab",
    summary: summary(results),
    main: `<section><h2>Curves</h2>${key(results)}<div class="figures" id="charts"></div>
<noscript><p>Curves need JavaScript; the numbers stand below.</p></noscript></section>
${standingsTable(results, comparison)}${duelTables(comparison)}${familyTable(results, comparison)}${maps(results.maps, drawings)}`,
    footer: " Every number of this page follows from results.json.",
    data: { id: "lab", value: { projectors: results.projectors, charts: chartsOf(results, comparison) } },
    ...{ script: own("page.js"), style: own("lab.css") },
  });
}

function summary({ projectors, tokens, seeds, patches, questions, trials }: LabResults): string {
  const count = (status: string): number => trials.filter((trial) => trial.status === status).length;
  const spatial = questions.filter((question) => question.spatial).length;
  const facts = [
    ["Projectors", String(projectors.length)],
    ["Visual tokens", tokens.join(", ")],
    ["Patches", String(patches)],
    ["Seeds", String(seeds)],
    ["Questions", `${questions.length}, ${spatial} of them spatial`],
    ["Trials", [`${count("done")} finished`, ...["stopped", "diverged"].flatMap((s) => (count(s) ? `${count(s)} ${s}` : []))].join(", ")],
  ];
  return `<dl class="facts">${facts.map(([name, value]) => `<div><dt>${name}</dt><dd>${value}</dd></div>`).join("")}</dl>\n`;
}

function key({ projectors }: LabResults): string {
  return `<ul class="key">${projectors.map((name, i) => `<li class="series${i % 8}">${escapeHtml(name)}</li>`).join("")}</ul>`;
}

function standingsTable({ tokens }: LabResults, { standings, duels, textOnly }: Comparison): string {
  const rows = tokens.flatMap((M) => {
    const own = standings.filter((standing) => standing.tokens === M);
    const best = own.reduce<Standing | null>((top, each) => (top === null || meanOf(each) > meanOf(top) ? each : top), null);
    return own.map((standing) => {
      const { projector, seeds, parameters, secondsPerStep, accuracy, shuffled } = standing;
      const mark = best === null || best === standing ? "" : markAgainst(duels, M, best.projector, projector);
      const cells = [intervalText(accuracy.all) + mark, intervalText(accuracy.spatial), intervalText(accuracy.nonSpatial)];
      const more = [percent(shuffled.all), secondsPerStep.toFixed(3), parameters.toLocaleString("en"), String(seeds)];
      const name = standing === best ? `<b>${escapeHtml(projector)}</b>` : escapeHtml(projector);
      return `<tr><td>${M}</td><th scope="row">${name}</th>${[...cells, ...more].map((cell) => `<td>${cell}</td>`).join("")}</tr>`;
    });
  });
  const blind = (["all", "spatial", "nonSpatial"] as const).map((subset) => `<td>${percent(textOnly[subset])}</td>`).join("");
  const head = ["tokens", "projector", "all", "spatial", "other", "other pictures", "seconds per step", "parameters", "seeds"];
  return `<section><h2>Accuracy</h2>
<p>Percent of answers right letter by letter, with 95 % intervals of a bootstrap over questions and seeds. The best at each
number of tokens is bold; marks say that another is different from it: * p &lt; 0.05, ** p &lt; 0.01, *** p &lt; 0.001,
by a paired bootstrap of 10,000 resamples, corrected for all pairs of this page (Holm). “Other pictures”: every question asked about the picture
of another. With fewer than five seeds the share of the seeds in an interval is too small, by the factor (S − 1)/S in variance.</p>
<div class="scroll"><table class="numbers"><thead><tr>${head.map((name) => `<th scope="col">${name}</th>`).join("")}</tr></thead>
<tbody>${rows.join("\n")}<tr><td></td><th scope="row">questions only</th>${blind}<td></td><td></td><td></td><td></td></tr></tbody></table></div></section>\n`;
}

function markAgainst(duels: readonly Duel[], tokens: number, one: string, other: string): string {
  const duel = duels.find(
    ({ about, ...rest }) => about === "all" && rest.tokens === tokens && [rest.a, rest.b].includes(one) && [rest.a, rest.b].includes(other),
  );
  return duel ? significanceMark(duel.adjusted) : "";
}

const subjects: Readonly<Record<Duel["about"], string>> = {
  all: "all",
  spatial: "spatial",
  nonSpatial: "other",
  gap: "spatial − other",
};

function duelTables({ duels }: Comparison): string {
  const pairs = duels.filter(({ about }) => about === "all");
  if (pairs.length === 0) return "";
  const columns = Object.keys(subjects) as Duel["about"][];
  const rows = pairs.map(({ tokens, a, b }) => {
    const cells = columns.map((about) => {
      const duel = duels.find((each) => each.about === about && each.tokens === tokens && each.a === a && each.b === b);
      return `<td>${duel ? `${signed(duel.difference)}${significanceMark(duel.adjusted)}` : "–"}</td>`;
    });
    return `<tr><td>${tokens}</td><th scope="row">${escapeHtml(a)} − ${escapeHtml(b)}</th>${cells.join("")}</tr>`;
  });
  const head = ["tokens", "difference", ...columns.map((about) => subjects[about])].map((name) => `<th scope="col">${name}</th>`);
  return `<section><h2>Pairs</h2><p>In points of percent, on the same questions and seeds, with 95 % intervals. The last column says how much
larger the difference is on spatial questions than on others.</p>
<div class="scroll"><table class="numbers"><thead><tr>${head.join("")}</tr></thead><tbody>${rows.join("\n")}</tbody></table></div></section>\n`;
}

function familyTable({ questions }: LabResults, { standings, textOnlyFamilies }: Comparison): string {
  const spatial = new Map(questions.map((question) => [question.family, question.spatial]));
  const families = [...spatial.keys()].sort((a, b) => Number(spatial.get(b)) - Number(spatial.get(a)));
  const n = (family: string): number => questions.filter((question) => question.family === family).length;
  const head = families.map(
    (family) => `<th scope="col">${escapeHtml(family)}<br><small>${spatial.get(family) ? "spatial, " : ""}${n(family)}</small></th>`,
  );
  const row = (tokens: string, name: string, scores: Readonly<Record<string, number>>): string =>
    `<tr><td>${tokens}</td><th scope="row">${escapeHtml(name)}</th>${families.map((family) => `<td>${percent(scores[family] ?? null)}</td>`).join("")}</tr>`;
  const rows = standings.map(({ tokens, projector, families: scores }) => row(String(tokens), projector, scores));
  return `<section><h2>By family</h2><div class="scroll"><table class="numbers"><thead><tr><th scope="col">tokens</th><th scope="col">projector</th>${head.join("")}</tr></thead>
<tbody>${[...rows, row("", "questions only", textOnlyFamilies)].join("\n")}</tbody></table></div></section>\n`;
}

function maps(all: readonly LabMap[], drawings: ReadonlyMap<string, Uint8Array>): string {
  const figures = all.flatMap(({ projector, tokens, picture, file }) => {
    const png = drawings.get(file);
    if (png === undefined) return [];
    const caption = `${escapeHtml(projector)}, ${tokens} tokens, picture ${picture + 1}`;
    return `<figure><img src="data:image/png;base64,${Buffer.from(png).toString("base64")}" alt="What ${caption} looked at"><figcaption>${caption}</figcaption></figure>`;
  });
  if (figures.length === 0) return "";
  return `<section><h2>What they looked at</h2><p>One tile for a visual token, at most sixteen of them; seed 0.</p><div class="maps">${figures.join("\n")}</div></section>\n`;
}

function meanOf({ accuracy }: Standing): number {
  return accuracy.all?.mean ?? 0;
}

function percent(value: number | null): string {
  return value === null ? "–" : (100 * value).toFixed(1);
}

function intervalText(interval: Interval | null): string {
  return interval === null ? "–" : `${percent(interval.mean)} <small>[${percent(interval.low)}, ${percent(interval.high)}]</small>`;
}

function signed({ mean, low, high }: Interval): string {
  const text = (value: number): string => `${value > 0 ? "+" : value < 0 ? "−" : ""}${percent(Math.abs(value))}`;
  return `${text(mean)} <small>[${text(low)}, ${text(high)}]</small>`;
}
