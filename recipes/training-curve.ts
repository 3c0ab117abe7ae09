/** The loss of a run as one SVG file that needs nothing else: its steps from left to right, logarithmic from bottom to top, a colour for each stage. */
import { readFile } from "node:fs/promises";

export interface CurvePoint {
  readonly stage: string;
  /** From the beginning of the first stage. */
  readonly step: number;
  /** Mean of the steps since the point before. */
  readonly loss: number;
}

const POINTS = 300;
const [WIDTH, HEIGHT, LEFT, TOP, BOTTOM] = [720, 300, 52, 14, 34];
const COLORS = ["#b45309", "#1d4ed8", "#047857", "#7e22ce", "#be123c"];

/** The losses of the metrics.jsonl of one run or of several, one after the other; at most some hundred points. */
export async function readCurve(files: readonly string[]): Promise<readonly CurvePoint[]> {
  const texts = await Promise.all(files.map((file) => readFile(file, "utf8")));
  const lines = texts.flatMap((text) => text.split("\n")).filter((line) => line.trim() !== "");
  const steps: { readonly stage: string; readonly loss: number }[] = lines.map((line) => JSON.parse(line));
  const width = Math.ceil(steps.length / POINTS);
  const points: CurvePoint[] = [];
  for (let first = 0; first < steps.length; ) {
    const stage = steps[first]?.stage ?? "";
    const part = steps.slice(first, first + width).filter((step) => step.stage === stage);
    first += part.length;
    points.push({ stage, step: first, loss: part.reduce((sum, { loss }) => sum + loss, 0) / part.length });
  }
  return points;
}

export function curveSvg(points: readonly CurvePoint[]): string {
  const last = points.at(-1)?.step ?? 1;
  const losses = points.map(({ loss }) => loss);
  const [low, high] = [Math.floor(Math.log10(Math.min(...losses))), Math.ceil(Math.log10(Math.max(...losses)))];
  const x = (step: number): number => LEFT + (step / last) * (WIDTH - LEFT - 12);
  const y = (loss: number): number => TOP + ((high - Math.log10(loss)) / Math.max(1, high - low)) * (HEIGHT - TOP - BOTTOM);
  const rules = Array.from({ length: Math.max(1, high - low) + 1 }, (_, i) => {
    const loss = 10 ** (high - i);
    const at = y(loss).toFixed(1);
    return `<path d="M${LEFT} ${at}H${WIDTH - 12}" stroke="#ddd"/><text x="${LEFT - 6}" y="${at}" dy="4" text-anchor="end">${loss}</text>`;
  });
  const stages = [...new Set(points.map(({ stage }) => stage))];
  const lines = stages.map((stage, i) => {
    const own = points.filter((point) => point.stage === stage);
    const path = own.map(({ step, loss }) => `${x(step).toFixed(1)},${y(loss).toFixed(1)}`).join(" ");
    const color = COLORS[i % COLORS.length];
    const name = `<text x="${WIDTH - 18}" y="${TOP + 14 + 16 * i}" fill="${color}" text-anchor="end">${escaped(stage)}</text>`;
    return `<polyline points="${path}" fill="none" stroke="${color}" stroke-width="1.5"/>${name}`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" font-family="sans-serif" font-size="12" fill="#333">
<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>
${rules.join("\n")}
${lines.join("\n")}
<text x="${LEFT}" y="${HEIGHT - 10}">loss over ${last} steps</text>
</svg>
`;
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
