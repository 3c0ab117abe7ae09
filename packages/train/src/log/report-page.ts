/** The page of a run, as text. */
import { dataOfPage, escapeHtml, htmlPage } from "./html-page.ts";
import { duration } from "./progress-line.ts";
import { measures, type ReportData, type ReportSample } from "./report-data.ts";

/** Rows of the table of numbers. */
const ROWS = 40;

export function reportPage(data: ReportData, title: string, settings: Readonly<Record<string, unknown>>): Promise<string> {
  const own = (name: string): URL => new URL(`../../report/${name}`, import.meta.url);
  return htmlPage({
    title,
    summary: summary(data),
    main: `${curves(data)}${samples(data.samples)}${settingsTable(settings)}${skipped(data)}${numbers(data)}`,
    footer: "",
    data: { id: "run", value: data },
    ...{ script: own("page.js"), style: own("run.css") },
  });
}

/** What {@link reportPage} was given; null for any other file. */
export function dataOfReport(page: string): ReportData | null {
  return (dataOfPage(page, "run") ?? null) as ReportData | null;
}

function summary({ stages, steps, validation, elapsed, ended, skippedCount }: ReportData): string {
  const total = sum(stages.map((stage) => stage.steps));
  const done = steps.step.at(-1) ?? 0;
  const best = validation.reduce<number | null>((least, { loss }) => (least === null || loss < least ? loss : least), null);
  const facts: [string, string][] = [
    ["State", ended ? "finished" : `stopped or running, ${total > 0 ? Math.floor((100 * done) / total) : 0} %`],
    ["Steps", `${done} of ${total}`],
    ["Last loss", shown(steps.loss.at(-1))],
    ...(best === null ? [] : [["Best validation loss", shown(best)] satisfies [string, string]]),
    ["Time", duration(elapsed)],
    ["Tokens per second", shown(mean(steps.tokensPerSecond))],
    ["Wait for data", `${shown(mean(steps.waitMs))} ms a step, ${shown((100 * sum(steps.waitMs)) / Math.max(1, elapsed))} %`],
    ["Skipped samples", String(skippedCount)],
  ];
  return `<dl class="facts">${facts.map(([name, value]) => `<div><dt>${name}</dt><dd>${value}</dd></div>`).join("")}</dl>\n`;
}

const figures = [
  { column: "loss", title: "Loss", of: "of the step" },
  { column: "gradNorm", title: "Gradient norm", of: "before clipping" },
  { column: "lr", title: "Learning rate", of: "of the optimiser; groups may have their own" },
  { column: "tokensPerSecond", title: "Tokens per second", of: "of the step" },
] as const;

function curves({ steps, validation, stages }: ReportData): string {
  if (steps.step.length === 0) return "<p>No step was taken.</p>\n";
  const names = [...new Set(steps.stage)];
  const key = names.map((name) => {
    const index = stages.findIndex((stage) => stage.name === name);
    return `<li class="series${index % 6}">${escapeHtml(name)}</li>`;
  });
  const marks = validation.length > 0 ? '<li class="validation">validation</li>' : "";
  const drawn = figures.map(({ column, title, of }) => {
    const words = escapeHtml(inWords(steps.step, steps[column]));
    return `<figure><h3>${title} <small>${of}</small></h3>
<div class="plot" data-column="${column}" role="img" aria-label="${title}. ${words}"></div>
<figcaption>${words}</figcaption></figure>`;
  });
  const hint = '<p class="hint">Drag over a curve to look closer, double-click to see all of it again.</p>';
  return `<section><h2>Curves</h2><ul class="key">${key.join("")}${marks}</ul>${hint}
<div class="figures">${drawn.join("\n")}</div>
<noscript><p>Curves need JavaScript; the numbers stand below.</p></noscript></section>\n`;
}

/** A curve for those who do not see it. */
function inWords(steps: readonly number[], values: readonly number[]): string {
  const at = (i: number): string => `${shown(values[i])} at step ${steps[i]}`;
  const [least, most] = [Math.min, Math.max].map((pick) => values.indexOf(values.reduce((a, b) => pick(a, b))));
  return `From ${at(0)} to ${at(values.length - 1)}; lowest ${at(least ?? 0)}, highest ${at(most ?? 0)}.`;
}

function samples(all: readonly ReportSample[]): string {
  if (all.length === 0) return "";
  const cards = all.map(({ picture, prompt, expected, answers }, i) => {
    const rows = answers.map(({ step, answer }) => `<tr><th scope="row">${step}</th><td>${escapeHtml(answer)}</td></tr>`);
    const last = answers.at(-1);
    return `<article>${picture === null ? "" : `<img src="${escapeHtml(picture)}" alt="Picture of sample ${i + 1}">`}
<dl><dt>Prompt</dt><dd>${escapeHtml(prompt)}</dd><dt>Expected</dt><dd>${escapeHtml(expected)}</dd>
<dt>Answer at step ${last?.step}</dt><dd class="answer">${escapeHtml(last?.answer ?? "")}</dd></dl>
<details><summary>All answers (${answers.length})</summary><table><thead><tr><th scope="col">Step</th><th scope="col">Answer</th></tr></thead>
<tbody>${rows.join("")}</tbody></table></details></article>`;
  });
  return `<section><h2>Samples</h2><div class="samples">${cards.join("\n")}</div></section>\n`;
}

/** What is nested gets a table of its own: stages stand side by side. */
function settingsTable(settings: Readonly<Record<string, unknown>>): string {
  const all = Object.entries(settings);
  const plain = Object.fromEntries(all.filter(([, value]) => !isNested(value)));
  const groups: [string, unknown][] = [["", plain], ...all.filter(([, value]) => isNested(value))];
  const tables = groups.flatMap(([name, group]) => {
    const rows = flat(group).map(([key, value]) => `<tr><th scope="row">${escapeHtml(key)}</th><td>${escapeHtml(value)}</td></tr>`);
    const caption = name === "" ? "" : `<caption>${escapeHtml(name)}</caption>`;
    return rows.length === 0 ? [] : [`<table>${caption}<tbody>${rows.join("\n")}</tbody></table>`];
  });
  return tables.length === 0 ? "" : `<section><h2>Settings</h2><div class="settings">${tables.join("\n")}</div></section>\n`;
}

function isNested(value: unknown): value is object {
  return value !== null && typeof value === "object" && !(value instanceof RegExp) && !isList(value);
}

/** Of plain values. */
function isList(value: unknown): value is readonly unknown[] {
  return Array.isArray(value) && !value.some(isNested);
}

/** Nested values under names with dots. */
function flat(value: unknown, name = ""): [string, string][] {
  if (value === undefined || typeof value === "function") return [];
  if (!isNested(value)) return [[name, isList(value) ? value.join(", ") || "–" : String(value)]];
  return Object.entries(value).flatMap(([key, inner]) => flat(inner, name === "" ? key : `${name}.${key}`));
}

function skipped({ skipped: named, skippedCount }: ReportData): string {
  if (skippedCount === 0) return "";
  const rows = named.map(({ id, reason }) => `<tr><th scope="row">${escapeHtml(id)}</th><td>${escapeHtml(reason)}</td></tr>`);
  const rest = skippedCount > named.length ? `<p>And ${skippedCount - named.length} more.</p>` : "";
  return `<section><h2>Skipped samples (${skippedCount})</h2><div class="scroll"><table><tbody>${rows.join("\n")}</tbody></table></div>${rest}</section>\n`;
}

function numbers({ steps }: ReportData): string {
  const count = steps.step.length;
  if (count === 0) return "";
  const picked = [...new Set(Array.from({ length: ROWS }, (_, i) => Math.round((i * (count - 1)) / (ROWS - 1))))];
  const head = ["step", "stage", ...measures].map((name) => `<th scope="col">${name}</th>`).join("");
  const rows = picked.map((i) => {
    const cells = measures.map((name) => `<td>${shown(steps[name][i])}</td>`);
    return `<tr><th scope="row">${steps.step[i]}</th><td>${escapeHtml(steps.stage[i] ?? "")}</td>${cells.join("")}</tr>`;
  });
  const which = picked.length < count ? `${picked.length} of ${count} steps` : "all steps";
  return `<section><details><summary>Numbers (${which})</summary><div class="scroll"><table class="numbers"><thead><tr>${head}</tr></thead>
<tbody>${rows.join("\n")}</tbody></table></div></details></section>\n`;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function mean(values: readonly number[]): number | undefined {
  return values.length === 0 ? undefined : sum(values) / values.length;
}

/** Four digits. */
function shown(value: number | undefined): string {
  if (value === undefined) return "–";
  const size = Math.abs(value);
  return size !== 0 && (size < 1e-3 || size >= 1e6) ? value.toExponential(2) : String(Number(value.toPrecision(4)));
}
