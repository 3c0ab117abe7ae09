/** LLaVA-NeXT in the Hugging Face layout, as transformers computes it: golden/llava-next-tiny, by reference/llava_next.py. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openCheckpoint } from "@waggle/checkpoint";
import { decodeImage, image } from "@waggle/image";
import { llavaHf, loadTokenizer } from "@waggle/text";
import { expect, test } from "vitest";
import { promptFeeds, promptGraph } from "../../../testing/multimodal.ts";
import { runGraph } from "../../../testing/run-graph.ts";
import { expectClose, float32, floats, int64, need, readTensors } from "../../../testing/tensors.ts";
import { folderProcessor } from "./assets.ts";
import { compose, load } from "./index.ts";
import { llavaParts, readConfig } from "./load.ts";
import { PromptEncoder } from "./prompt-encoder.ts";

const folder = fileURLToPath(new URL("../../../golden/llava-next-tiny", import.meta.url));
interface Expected {
  readonly imageTokenId: number;
  readonly cases: readonly {
    readonly prompt: string;
    readonly images: readonly string[];
    readonly promptIds: readonly number[];
    readonly tokenIds: readonly number[];
  }[];
}
const { cases, imageTokenId }: Expected = JSON.parse(readFileSync(join(folder, "expected.json"), "utf8"));

async function composition() {
  const config = await readConfig(folder);
  if (config.model_type !== "llava") throw new Error(config.model_type);
  const whole = compose({ ...llavaParts(config), prompt: llavaHf });
  whole.bind(await openCheckpoint(folder));
  return whole;
}

async function featuresOf(file: string) {
  const io = await readTensors(join(folder, "io.safetensors"));
  const [whole, processor] = [await composition(), await folderProcessor(folder)];
  const picture = await decodeImage(image(join(folder, file)));
  const { pixel_values, shape } = await processor.process([picture]);
  const pixels = float32(pixel_values, shape);
  expectClose(pixels, io[`input.pixel_values.${file}`], { abs: 1e-6, rel: 0 });
  const { features } = await runGraph(whole.visionGraph(), {
    pixel_values: pixels,
    token_rows: int64(whole.tiles?.tokenRows(picture) ?? []),
  });
  expectClose(features, io[`output.image_features.${file}`], { abs: 2e-5, rel: 1e-4 });
  return features;
}

test.each(["wide.png", "high.png", "even.png", "small.png"])("%s: pixel values, image features", async (file) => {
  await featuresOf(file);
});

test.each(cases.map((one, index) => ({ ...one, index })))(
  "$prompt $images: ids, logits, tokens",
  async ({ prompt, images, promptIds, tokenIds, index }) => {
    const io = await readTensors(join(folder, "io.safetensors"));
    const seen = await Promise.all(images.map(featuresOf));
    const encoder = new PromptEncoder(await loadTokenizer(folder), null, { placeholder: "<image>", tokenId: imageTokenId });
    const ids = encoder.ids(
      prompt,
      seen.map((tensor) => tensor?.dims[0] ?? 0),
      false,
    );
    expect(ids).toEqual(promptIds);
    const { language_model } = (await composition()).modules;
    const D = language_model.hidden_size;
    const rows = seen.flatMap((tensor) => Array.from(floats(tensor)));
    const features = float32(rows.length > 0 ? rows : new Float32Array(D), [Math.max(1, rows.length / D), D]);
    const places = Array.from({ length: rows.length / D }, (_, i) => i);
    const { logits } = await runGraph(promptGraph(language_model), { ...promptFeeds(ids, imageTokenId, places), features });
    const expected = need(io, `output.logits.${index}`);
    expectClose(float32(floats(logits).slice(-floats(expected).length), expected.dims), expected, { abs: 2e-4, rel: 1e-4 });
    using model = await load(folder);
    const result = await model.generate(prompt, { images: images.map((file) => image(join(folder, file))), max_new_tokens: 16 });
    expect(result.tokenIds).toEqual(tokenIds);
  },
);

test("a processor that cuts other tiles than the model merges", async () => {
  const other = mkdtempSync(join(tmpdir(), "waggle-next-"));
  try {
    cpSync(folder, other, { recursive: true });
    const file = join(other, "preprocessor_config.json");
    writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, "utf8")), image_grid_pinpoints: [[42, 84]] }));
    await expect(load(other)).rejects.toThrow(/image_grid_pinpoints: makes .*\[\[42,84\]\].*but the model is composed for .*\[126,42\]/);
  } finally {
    rmSync(other, { recursive: true });
  }
});
