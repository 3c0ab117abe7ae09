/** Image preparation of a 1280×853 picture for CLIP at 336, beside sharp's own decode and resize to the same size. */
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { fileURLToPath } from "node:url";
import { clipProcessor, decodeImage, image } from "@waggle/image";
import sharp from "sharp";

const ROUNDS = 60;
const WARM_UP = 10;
const processor = clipProcessor({ size: 336 });
const folder = await mkdtemp(join(tmpdir(), "waggle-bench-"));

/** The file ready for the encoder, as Waggle does it: every step with Pillow's numbers. */
async function waggle(path: string): Promise<void> {
  await processor.process([await decodeImage(image(path))]);
}

/** What sharp does best: JPEG files are read at half size, resized with its own kernel, left as bytes. */
async function sharpAlone(path: string): Promise<void> {
  await sharp(path).resize(336, 336, { kernel: "cubic" }).removeAlpha().raw().toBuffer();
}

async function timed(task: (path: string) => Promise<void>, path: string): Promise<number> {
  const start = performance.now();
  await task(path);
  return performance.now() - start;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? Number.NaN;
}

/** A photograph: the test picture enlarged, with the fine grain that enlarging loses. */
async function writePicture(path: string): Promise<void> {
  const [width, height] = [1280, 853];
  const photo = fileURLToPath(new URL("../golden/image-processing/photo.jpg", import.meta.url));
  const data = await sharp(photo).resize(width, height, { fit: "fill" }).raw().toBuffer();
  for (let i = 0; i < data.length; i++) data[i] = Math.max(0, Math.min(255, (data[i] ?? 0) + (Math.imul(i, 2654435761) >>> 28) - 8));
  const encoder = sharp(data, { raw: { width, height, channels: 3 } });
  await (path.endsWith(".png") ? encoder.png() : encoder.jpeg({ quality: 90 })).toFile(path);
}

const rows: Record<string, string>[] = [];
for (const name of ["picture.jpg", "picture.png"]) {
  const path = join(folder, name);
  await writePicture(path);
  const ours: number[] = [];
  const theirs: number[] = [];
  const delay = monitorEventLoopDelay({ resolution: 1 });
  for (let round = 0; round < ROUNDS + WARM_UP; round++) {
    if (round === WARM_UP) delay.enable();
    const results =
      round % 2 === 0
        ? [await timed(waggle, path), await timed(sharpAlone, path)]
        : [await timed(sharpAlone, path), await timed(waggle, path)].reverse();
    if (round < WARM_UP) continue;
    ours.push(results[0] ?? Number.NaN);
    theirs.push(results[1] ?? Number.NaN);
  }
  delay.disable();
  const [mine, alone] = [median(ours), median(theirs)];
  rows.push({
    picture: `${name}, ${Math.round((await stat(path)).size / 1024)} KB`,
    "waggle ms": mine.toFixed(1),
    "sharp alone ms": alone.toFixed(1),
    ratio: `${(mine / alone).toFixed(2)} (limit 2)`,
    "longest event-loop delay ms": (delay.max / 1e6).toFixed(1),
  });
}
console.table(rows);
await rm(folder, { recursive: true });
