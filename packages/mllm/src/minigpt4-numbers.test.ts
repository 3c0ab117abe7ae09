/** golden/minigpt4-tiny from pixels to logits, element by element. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { input, symbol } from "@waggle/graph";
import { decodeImage, exactProcessor, image } from "@waggle/image";
import type { QFormer } from "@waggle/projectors";
import { Runtime } from "@waggle/runtime";
import { loadTokenizer } from "@waggle/text";
import type { EvaVisionEncoder } from "@waggle/vision";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { compileConverted, promptFeeds, promptGraph } from "../../../testing/multimodal.ts";
import type { Results } from "../../../testing/run-graph.ts";
import { expectClose, float32, floats, need, readTensors } from "../../../testing/tensors.ts";
import type { Composition } from "./compose.ts";
import { miniGpt4Assembly, miniGpt4Composition } from "./minigpt4.ts";
import { openMiniGpt4Files } from "./minigpt4-parts.ts";
import type { Assembly } from "./start.ts";

interface Run {
  readonly pictures: readonly string[];
  readonly prompt: string;
  readonly segments: readonly (readonly number[])[];
  readonly embeds_length?: number;
  readonly dropped_from_the_left?: number;
}

const folder = fileURLToPath(new URL("../../../golden/minigpt4-tiny/", import.meta.url));
const expected = JSON.parse(readFileSync(join(folder, "expected.json"), "utf8"));
const { activations, logits: logitsTolerance } = expected.tolerance as Record<string, { atol: number; rtol: number }>;
const near = { abs: activations?.atol ?? 0, rel: activations?.rtol ?? 0 };
const nearLogits = { abs: logitsTolerance?.atol ?? 0, rel: logitsTolerance?.rtol ?? 0 };
const names = ["picture_a.png", "picture_b.png", "picture_c.png"];
/** Visual tokens of a picture. */
const T = 8;
const PICTURE = -1;

let temporary: string;
let runtime: Runtime;
let composition: Composition;
let assembly: Assembly;
let io: Awaited<ReturnType<typeof readTensors>>;
let seen: Results;
let read: (feeds: Results) => Promise<Results>;

beforeAll(async () => {
  temporary = mkdtempSync(join(tmpdir(), "waggle-minigpt4-"));
  runtime = new Runtime({ threads: 1 });
  io = await readTensors(join(folder, "io.safetensors"));
  composition = miniGpt4Composition(await openMiniGpt4Files(folder, {}));
  assembly = await miniGpt4Assembly(await openMiniGpt4Files(folder, {}), {}, 0);
  const encoder = composition.modules.vision_tower as EvaVisionEncoder;
  const projector = composition.modules.multi_modal_projector as QFormer<number, number>;
  const pixel_values = input("pixel_values", "float32", [symbol("B"), 3, 56, 56]);
  const ln_vision = encoder.forward(pixel_values);
  const outputs = {
    visual_encoder: encoder.visual_encoder.forward(pixel_values),
    ln_vision,
    qformer: projector.encode(ln_vision).hidden,
    projected: projector.forward(ln_vision),
  };
  const see = await compileConverted(runtime, { inputs: { pixel_values }, outputs }, temporary);
  seen = await see({ pixel_values: need(io, "input.pixel_values") });
  read = await compileConverted(runtime, promptGraph(composition.modules.language_model), temporary);
});
afterAll(() => {
  runtime.dispose();
  rmSync(temporary, { recursive: true });
});

test("the pictures", async () => {
  const pictures = await Promise.all(names.map((name) => decodeImage(image(join(folder, name)))));
  const { pixel_values, shape } = await exactProcessor({ size: 56 }).process(pictures);
  expectClose(float32(pixel_values, shape), io["input.pixel_values"], { abs: 1e-6, rel: 0 });
});

test.each(["visual_encoder", "ln_vision", "qformer", "projected"])("what is seen: %s", (name) => {
  expectClose(seen[name], io[`output.${name}`], near);
});

/** The features of all three pictures; row T·i is the first of picture i. */
const features = () => float32(floats(seen.projected), [3 * T, composition.modules.language_model.hidden_size]);
const rowsOf = (pictures: readonly string[]) =>
  pictures.flatMap((picture) => Array.from({ length: T }, (_, row) => names.indexOf(picture) * T + row));

function idsOf(prompt: string, pictures: number): readonly number[] {
  return assembly.sight?.dialect?.promptIds(prompt, new Array(pictures).fill(T), false) ?? [];
}

/** Conversations that were run without beams. */
const talks = Object.entries(expected.runs as Record<string, Run>).filter(([, { embeds_length }]) => embeds_length !== undefined);

describe.each(talks)("%s", (name, { pictures, prompt, segments, dropped_from_the_left = 0 }) => {
  // A later turn's record leaves out the pictures that the earlier turns showed.
  const shown = pictures ?? (expected.runs[name.split(".")[0] ?? ""] as Run).pictures;

  test("ids, merged embeddings, logits", async () => {
    const ids = idsOf(prompt, shown.length);
    expect(ids).toEqual(segments.flatMap((segment, i) => (i === 0 ? segment : [...new Array(T).fill(PICTURE), ...segment])));
    const kept = ids.slice(dropped_from_the_left);
    const results = await read({ ...promptFeeds(kept, PICTURE, rowsOf(shown)), features: features() });
    for (const [output, tolerance] of [
      ["inputs_embeds", near],
      ["logits", nearLogits],
    ] as const) {
      const golden = io[`output.${name}.${output}`];
      if (golden !== undefined) expectClose(results[output], golden, tolerance);
    }
    const rows = floats(results.logits);
    const last = io[`output.${name}.last_logits`];
    if (last !== undefined) expectClose(float32(rows.slice(-601), [1, 601]), last, nearLogits);
  });
});

test("batch_generate: each row alone gives the last logits of the padded batch", async () => {
  const { texts, pictures } = expected.runs.batch_generate as { texts: readonly string[]; pictures: readonly string[] };
  const golden = floats(io["output.batch_generate.last_logits"]);
  for (const [row, text] of texts.entries()) {
    const feeds = promptFeeds(idsOf(text, 1), PICTURE, rowsOf(pictures.slice(row, row + 1)));
    const { logits } = await read({ ...feeds, features: features() });
    expectClose(float32(floats(logits).slice(-601), [601]), float32(golden.slice(601 * row, 601 * (row + 1)), [601]), nearLogits);
  }
});

describe.each(["stage1", "stage2"])("training, %s", (stage) => {
  const { pictures, prompt, caption_ids, loss } = expected.runs[`train_${stage}`] as {
    pictures: readonly string[];
    prompt: string | null;
    caption_ids: readonly (readonly number[])[];
    loss: number;
  };

  test("merged embeddings, and the loss on the captions", async () => {
    const { special } = await loadTokenizer(join(folder, "llm"));
    const [bos, pad] = [special.bos ?? Number.NaN, expected.tokenizer.pad_token_id as number];
    const golden = need(io, `output.${stage}.inputs_embeds`);
    const [, S = 0, D = 0] = golden.dims;
    const embeds = floats(golden);
    const losses: number[] = [];
    for (const [row, picture] of pictures.entries()) {
      const before = prompt === null ? [bos, ...new Array(T).fill(PICTURE)] : idsOf(prompt, 1);
      const target = caption_ids[row] ?? [];
      const ids = [...before, ...target];
      const padded = [...ids, ...new Array(S - ids.length).fill(pad)];
      const results = await read({ ...promptFeeds(padded, PICTURE, rowsOf([picture])), features: features() });
      expectClose(results.inputs_embeds, float32(embeds.slice(row * S * D, (row + 1) * S * D), [1, S, D]), near);
      const logits = floats(results.logits);
      for (const [i, id] of target.entries()) {
        if (id === pad) continue; // its label is −100, a real one's too
        const scores = logits.slice((before.length + i - 1) * 601, (before.length + i) * 601);
        const most = Math.max(...scores);
        losses.push(most + Math.log(scores.reduce((sum, score) => sum + Math.exp(score - most), 0)) - (scores[id] ?? Number.NaN));
      }
    }
    expect(losses.reduce((sum, each) => sum + each, 0) / losses.length).toBeCloseTo(loss, 4);
  });
});
