/** The page of a run, as text. */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { duration } from "./progress-line.ts";
import { measures, type ReportData, type ReportSample } from "./report-data.ts";

const OPEN = '<script type="application/json" id="run">';
const CLOSE = "</script>";
/** Rows of the table of numbers. */
const ROWS = 40;

export async function reportPage(data: ReportData, title: string, settings: Readonly<Record<string, unknown>>): Promise<string> {
  const { plot, plotStyle, license, script, style } = await parts();
  // Only these two scripts may run, and nothing may be fetched: a second lock behind the escaping.
  const scripts = [plot, script].map((source) => `'sha256-${createHash("sha256").update(source).digest("base64")}'`).join(" ");
  const policy = `default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src ${scripts}`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(title)}</title>
<style>${plotStyle}${style}</style>
</head>
<body>
<header><h1>${escaped(title)}</h1>
${summary(data)}</header>
<main>
${curves(data)}${samples(data.samples)}${settingsTable(settings)}${skipped(data)}${numbers(data)}</main>
<footer>Curves drawn with uPlot.</footer>
<!-- uPlot: ${license.replaceAll("--", "- -")} -->
${OPEN}${JSON.stringify(data).replaceAll("<", "\\u003c")}${CLOSE}
<script>${plot}</script>
<script>${script}</script>
</body>
</html>
`;
}

/** What {@link reportPage} was given; null for any other file. */
export function dataOfPage(page: string): ReportData | null {
  const start = page.indexOf(OPEN);
  const end = page.indexOf(CLOSE, start);
  return start < 0 || end < 0 ? null : (JSON.parse(page.slice(start + OPEN.length, end)) as ReportData);
}

async function parts() {
  const require = createRequire(import.meta.url);
  const own = (name: string): URL => new URL(`../../report/${name}`, import.meta.url);
  const files = [
    require.resolve("uplot/dist/uPlot.iife.min.js"),
    require.resolve("uplot/dist/uPlot.min.css"),
    require.resolve("uplot/LICENSE"),
    own("page.js"),
    own("page.css"),
  ] as const;
  const [plot = "", plotStyle = "", license = "", script = "", style = ""] = await Promise.all(files.map((file) => readFile(file, "utf8")));
  return { plot, plotStyle, license, script, style };
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
  { column: "lr", title: "Learning rate", of: "of the first parameter group" },
  { column: "tokensPerSecond", title: "Tokens per second", of: "of the step" },
] as const;

function curves({ steps, validation, stages }: ReportData): string {
  if (steps.step.length === 0) return "<p>No step was taken.</p>\n";
  const names = [...new Set(steps.stage)];
  const key = names.map((name) => {
    const index = stages.findIndex((stage) => stage.name === name);
    return `<li class="stage${index % 6}">${escaped(name)}</li>`;
  });
  const marks = validation.length > 0 ? '<li class="validation">validation</li>' : "";
  const drawn = figures.map(({ column, title, of }) => {
    const words = escaped(inWords(steps.step, steps[column]));
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
    const rows = answers.map(({ step, answer }) => `<tr><th scope="row">${step}</th><td>${escaped(answer)}</td></tr>`);
    const last = answers.at(-1);
    return `<article>${picture === null ? "" : `<img src="${escaped(picture)}" alt="Picture of sample ${i + 1}">`}
<dl><dt>Prompt</dt><dd>${escaped(prompt)}</dd><dt>Expected</dt><dd>${escaped(expected)}</dd>
<dt>Answer at step ${last?.step}</dt><dd class="answer">${escaped(last?.answer ?? "")}</dd></dl>
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
    const rows = flat(group).map(([key, value]) => `<tr><th scope="row">${escaped(key)}</th><td>${escaped(value)}</td></tr>`);
    const caption = name === "" ? "" : `<caption>${escaped(name)}</caption>`;
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
  const rows = named.map(({ id, reason }) => `<tr><th scope="row">${escaped(id)}</th><td>${escaped(reason)}</td></tr>`);
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
    return `<tr><th scope="row">${steps.step[i]}</th><td>${escaped(steps.stage[i] ?? "")}</td>${cells.join("")}</tr>`;
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

const entities: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (sign) => entities[sign] ?? sign);
}
