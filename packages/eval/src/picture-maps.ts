/** What a trained projector looked at on three pictures, as drawings in the lab's folder. */
import { join } from "node:path";
import { type Assembly, start } from "@waggle/mllm";
import type { LabOptions, Trial } from "./lab-options.ts";
import { writeWhole } from "./results.ts";
import type { LabContext } from "./trial.ts";

/** Tokens of a drawing, spread evenly over all of them. */
const DRAWN = 16;

/** `pictures/<projector>-<tokens>-<picture>.png` */
export function mapFile({ projector, tokens }: Omit<Trial, "seed">, picture: number): string {
  return `pictures/${projector}-${tokens}-${picture}.png`;
}

/** Draws nothing for a projector that maps patches one by one. */
export async function drawPictureMaps({ options, questions }: LabContext, trial: Trial, model: Assembly): Promise<void> {
  if (!model.sight?.explain()) return;
  const { out, threads, signal }: LabOptions = options;
  using running = await start(model, { ...(threads !== undefined && { threads }), ...(signal && { signal }) });
  for (const [picture, input] of (await questions.pictures()).entries()) {
    const { tokens, draw } = await running.explain(input, signal ? { signal } : {});
    const count = Math.min(DRAWN, tokens.length);
    const chosen = Array.from({ length: count }, (_, i) => Math.floor((i * tokens.length) / count));
    await writeWhole(join(out, mapFile(trial, picture)), await draw({ size: 72, tokens: chosen }));
  }
}
