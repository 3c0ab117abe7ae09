/** Drawn scenes per second on one core: made up and asked about alone, then with their pictures as PNG. */
import { scenes } from "@waggle/data";
import sharp from "sharp";

const PICTURES = 400;
const ROUNDS = 5;
sharp.concurrency(1); // one thread of libvips a picture, and one picture at a time

async function perSecond(size: number, draw: boolean, round: number): Promise<{ rate: number; cores: number }> {
  const dataset = scenes({ split: "train", seed: round, length: PICTURES, size });
  const [start, before] = [performance.now(), process.cpuUsage()];
  for (let i = 0; i < PICTURES; i++) await (draw ? dataset.sample(i) : dataset.describe(i));
  const seconds = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(before);
  return { rate: PICTURES / seconds, cores: (user + system) / 1e6 / seconds };
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

const rows: Record<string, string>[] = [];
for (const [name, size, draw] of [
  ["scene and four questions, no picture", 96, false],
  ["with a PNG of 96×96", 96, true],
  ["with a PNG of 128×128", 128, true],
] as const) {
  await perSecond(size, draw, ROUNDS);
  const rounds: { rate: number; cores: number }[] = [];
  for (let round = 0; round < ROUNDS; round++) rounds.push(await perSecond(size, draw, round));
  rows.push({
    sample: name,
    "per second": `${Math.round(median(rounds.map(({ rate }) => rate)))}${draw ? " (goal 300)" : ""}`,
    "cores busy": median(rounds.map(({ cores }) => cores)).toFixed(2),
  });
}
console.table(rows);
