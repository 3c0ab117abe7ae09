/** A page that needs no other file and asks nobody for anything. Its curves are drawn by uPlot, which it holds. */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";

export interface HtmlPage {
  readonly title: string;
  /** Below the title. */
  readonly summary: string;
  readonly main: string;
  readonly footer: string;
  /** What the script reads, under an id. */
  readonly data: { readonly id: string; readonly value: unknown };
  /** Runs behind uPlot. */
  readonly script: URL;
  /** Behind the style of all pages. */
  readonly style: URL;
}

export async function htmlPage({ title, summary, main, footer, data, ...own }: HtmlPage): Promise<string> {
  const { plot, plotStyle, license, style, script, ownStyle } = await parts(own);
  // Only these two scripts may run, and nothing may be fetched: a second lock behind the escaping.
  const scripts = [plot, script].map((source) => `'sha256-${createHash("sha256").update(source).digest("base64")}'`).join(" ");
  const policy = `default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src ${scripts}`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<style>${plotStyle}${style}${ownStyle}</style>
</head>
<body>
<header><h1>${escapeHtml(title)}</h1>
${summary}</header>
<main>
${main}</main>
<footer>Curves drawn with uPlot.${footer}</footer>
<!-- uPlot: ${license.replaceAll("--", "- -")} -->
${dataTag(data.id)}${JSON.stringify(data.value).replaceAll("<", "\\u003c")}${DATA_END}
<script>${plot}</script>
<script>${script}</script>
</body>
</html>
`;
}

const DATA_END = "</script>";

function dataTag(id: string): string {
  return `<script type="application/json" id="${id}">`;
}

/** The data of a page that {@link htmlPage} wrote; undefined for any other file. */
export function dataOfPage(page: string, id: string): unknown {
  const at = page.indexOf(dataTag(id));
  const start = at + dataTag(id).length;
  const end = page.indexOf(DATA_END, start);
  return at < 0 || end < 0 ? undefined : JSON.parse(page.slice(start, end));
}

async function parts({ script, style }: Pick<HtmlPage, "script" | "style">) {
  const require = createRequire(import.meta.url);
  const files = {
    plot: require.resolve("uplot/dist/uPlot.iife.min.js"),
    plotStyle: require.resolve("uplot/dist/uPlot.min.css"),
    license: require.resolve("uplot/LICENSE"),
    style: new URL("../../report/page.css", import.meta.url),
    ...{ script, ownStyle: style },
  };
  const read = Object.entries(files).map(async ([name, file]) => [name, await readFile(file, "utf8")] as const);
  return Object.fromEntries(await Promise.all(read)) as Record<keyof typeof files, string>;
}

const entities: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (sign) => entities[sign] ?? sign);
}
