/** From pixels to logits, element by element, as the authors' code computes them. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { GraphDefinition } from "@waggle/graph";
import { decodeImage, type ImageProcessor, image } from "@waggle/image";
import { Runtime } from "@waggle/runtime";
import { loadTokenizer, splitPromptIds } from "@waggle/text";
import { Tensor } from "onnxruntime-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { compileConverted, promptFeeds, promptGraph } from "../../../testing/multimodal.ts";
import type { Feeds, Results } from "../../../testing/run-graph.ts";
import { expectClose, float32, floats, int64, integers, need, readTensors } from "../../../testing/tensors.ts";
import { bindWeights } from "./bind.ts";
import type { Composition } from "./compose.ts";
import { openOriginalLlava, originalLlavaSpelling } from "./llava-original.ts";
import { readConfig } from "./load.ts";
import type { LoadOptions } from "./load-options.ts";
import { openModelFolder } from "./model-folder.ts";

const golden = fileURLToPath(new URL("../../../golden/", import.meta.url));
const runtime = new Runtime({ worker: false });
let cache: string;
beforeAll(() => {
  cache = mkdtempSync(join(tmpdir(), "waggle-llava-numbers-"));
});
afterAll(() => {
  runtime.dispose();
  rmSync(cache, { recursive: true });
});

async function open(folder: string, options: LoadOptions = {}): Promise<{ composition: Composition; processor: ImageProcessor }> {
  const model = await openModelFolder(folder, options);
  const config = await readConfig(model.config);
  if (config.model_type !== "llava_llama") throw new Error(`${folder} is ${config.model_type}`);
  const opened = await openOriginalLlava(config, model, options);
  bindWeights(opened.composition.modules, opened.state, originalLlavaSpelling(config));
  return opened;
}

/** What the vision graph computes on its way, for the same inputs. */
function stages(composition: Composition): GraphDefinition {
  const { name, inputs, outputs } = composition.visionGraph();
  const { vision_tower, multi_modal_projector } = composition.modules;
  const { pixel_values } = inputs;
  if (pixel_values === undefined) throw new Error("no pixel_values");
  const features = vision_tower.forward(pixel_values);
  return {
    ...(name && { name }),
    inputs,
    outputs: { ...outputs, vision_hidden_state: features, projector: multi_modal_projector.forward(features) },
  };
}

interface Expected {
  readonly pictures: Readonly<Record<string, unknown>>;
  readonly cases: readonly {
    readonly name: string;
    readonly images: readonly string[];
    readonly prompt: string;
    readonly promptIds: readonly number[];
  }[];
  readonly lora?: Expected;
  readonly tolerance: Readonly<Record<string, { readonly abs: number; readonly rel: number }>>;
}

describe.each(["llava-tiny-original", "llava-tiny-anyres"])("golden/%s", (name) => {
  const folder = join(golden, name);
  const { pictures, cases, tolerance, lora }: Expected = JSON.parse(readFileSync(join(folder, "expected.json"), "utf8"));
  let io: Results;
  let seeing: { composition: Composition; processor: ImageProcessor };
  let look: (feeds: Feeds) => Promise<Results>;
  beforeAll(async () => {
    io = await readTensors(join(folder, "io.safetensors"));
    seeing = await open(folder);
    look = await compileConverted(runtime, stages(seeing.composition), cache);
  });

  async function see(file: string, { composition, processor } = seeing, run = look): Promise<{ pixels: Tensor; results: Results }> {
    const picture = await decodeImage(image(join(folder, file)), { exif: false });
    const { pixel_values, shape } = await processor.process([picture]);
    const pixels = float32(pixel_values, shape);
    const rows = composition.tiles?.tokenRows(picture);
    return { pixels, results: await run({ pixel_values: pixels, ...(rows && { token_rows: int64(rows) }) }) };
  }

  test.each(Object.keys(pictures))("%s: pixel values, features, projector, image features", async (file) => {
    const { pixels, results } = await see(file);
    expectClose(pixels, io[`input.pixel_values.${file}`], tolerance.pixel_values);
    expectClose(results.vision_hidden_state, io[`output.vision_hidden_state.${file}`], tolerance.vision_hidden_state);
    expectClose(results.projector, io[`output.projector.${file}`], tolerance.projector);
    const whole = io[`output.image_features.${file}`] ?? need(io, `output.projector.${file}`);
    const [, tokens = 0, D = 0] = whole.dims;
    expectClose(results.features, new Tensor("float32", floats(whole), [tokens, D]), tolerance.image_features ?? tolerance.projector);
  });

  async function logitsOf({ images, prompt }: Expected["cases"][number], eyes = seeing, run = look): Promise<Tensor> {
    const seen = await Promise.all(images.map(async (file) => need((await see(file, eyes, run)).results, "features")));
    const imageTokens = seen.map(({ dims }) => dims[0] ?? 0);
    const ids = splitPromptIds(await loadTokenizer(folder), prompt, { imageTokens });
    const D = eyes.composition.modules.language_model.hidden_size;
    const rows = seen.flatMap((tensor) => Array.from(floats(tensor)));
    const features = rows.length > 0 ? float32(rows, [rows.length / D, D]) : float32(new Float32Array(D), [1, D]);
    const decode = await compileConverted(runtime, promptGraph(eyes.composition.modules.language_model), cache);
    const places = Array.from({ length: rows.length / D }, (_, i) => i);
    return need(await decode({ ...promptFeeds(ids, -200, places), features }), "logits");
  }

  /** The last positions, as many as the golden file has. */
  function expectLast(logits: Tensor, expected: Tensor): void {
    const [, positions = 0, V = 0] = expected.dims;
    expectClose(float32(floats(logits).slice(-positions * V), [1, positions, V]), expected, tolerance.logits);
  }

  test.each(cases)("$name: ids and logits", async (one) => {
    const tokenizer = await loadTokenizer(folder);
    const single = one.images.map(() => 1);
    const ids = splitPromptIds(tokenizer, one.prompt, { imageTokens: single });
    expect(ids).toEqual(integers(io[`input.input_ids.${one.name}`]));
    const logits = await logitsOf(one);
    const expected = need(io, `output.logits.${one.name}`);
    if (one.name === "plain-scene") expect(logits.dims).toEqual(expected.dims); // all positions
    expectLast(logits, expected);
  });

  test.each((lora?.cases ?? []).slice(0, 1))("$name, with the adapter merged: logits", async (first) => {
    const trained = await open(join(folder, "lora"), { base: folder });
    const run = await compileConverted(runtime, stages(trained.composition), cache);
    expectLast(await logitsOf(first, trained, run), need(io, "output.logits.lora-merged"));
  });
});
