/** golden/honeybee-tiny-c-abs and -d-abs, made by the authors' code, from pixels to logits, element by element. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openCheckpoint, readJson } from "@waggle/checkpoint";
import { input, symbol } from "@waggle/graph";
import { decodeImage, image } from "@waggle/image";
import { Runtime } from "@waggle/runtime";
import { loadTokenizer, type Tokenizer } from "@waggle/text";
import { clip } from "@waggle/vision";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { compileConverted, promptFeeds, promptGraph } from "../../../testing/multimodal.ts";
import type { Results } from "../../../testing/run-graph.ts";
import { expectClose, float32, floats, need, readTensors } from "../../../testing/tensors.ts";
import type { Composition } from "./compose.ts";
import { honeybeeComposition, honeybeePrompt, honeybeePrompt2023 } from "./honeybee.ts";
import { type HoneybeeConfig, readHoneybeeConfig } from "./honeybee-config.ts";

interface Row {
  readonly prompt: string;
  readonly head_no_eos: { readonly input_ids: readonly number[] };
  readonly old: { readonly input_ids: readonly number[] };
}
interface Run {
  readonly pictures: readonly (string | null)[];
  readonly input_ids: readonly (readonly number[])[];
  readonly attention_mask: readonly (readonly number[])[];
}

const cases = fileURLToPath(new URL("../../../golden/", import.meta.url));
const runNames = ["one_image", "one_image_other_picture", "two_images", "text_only", "batch_left_padded", "batch_mixed_image_and_text"];
/** Visual tokens of a picture, patches, widths, vocabulary. */
const [T, N, C, V] = [9, 16, 32, 640];
const PICTURE = -1;

describe.each(["c-abs", "d-abs"])("honeybee-tiny-%s", (kind) => {
  const folder = join(cases, `honeybee-tiny-${kind}`);
  const expected = JSON.parse(readFileSync(join(folder, "expected.json"), "utf8"));
  const tolerance = (name: string) => ({ abs: expected.tolerance[`${name}_abs`] as number, rel: 1e-4 });
  let temporary: string;
  let runtime: Runtime;
  let config: HoneybeeConfig;
  let composition: Composition;
  let tokenizer: Tokenizer;
  let io: Awaited<ReturnType<typeof readTensors>>;
  let seen: Results;
  let read: (feeds: Results) => Promise<Results>;

  beforeAll(async () => {
    temporary = mkdtempSync(join(tmpdir(), "waggle-honeybee-"));
    runtime = new Runtime({ threads: 1 });
    io = await readTensors(join(folder, "io.safetensors"));
    config = readHoneybeeConfig(await readJson(join(folder, "config.json")), "config.json");
    tokenizer = await loadTokenizer(folder);
    composition = honeybeeComposition(config);
    composition.bind(await openCheckpoint(folder));
    const { vision_tower, multi_modal_projector, language_model } = composition.modules;
    const pixel_values = input("pixel_values", "float32", [symbol("B"), 3, 56, 56]);
    const vision_features = vision_tower.forward(pixel_values);
    const outputs = { vision_features, projector: multi_modal_projector.forward(vision_features) };
    const see = await compileConverted(runtime, { inputs: { pixel_values }, outputs }, temporary);
    seen = await see({ pixel_values: need(io, "input.pixel_values") });
    read = await compileConverted(runtime, promptGraph(language_model), temporary);
  });
  afterAll(() => {
    runtime.dispose();
    rmSync(temporary, { recursive: true });
  });

  test.each(["picture-a.png", "picture-alpha.png", "picture-gray.png", "picture-b.decoded.png", "picture-exif6.decoded.png"])(
    "%s as the original prepares it",
    async (name) => {
      const { pixel_values, shape } = await processorOf(composition).process([await decodeImage(image(join(folder, name)))]);
      const original = need(io, `output.pixel_values.${name.replace(".decoded.png", ".jpg")}`);
      expectClose(float32(pixel_values, shape.slice(1)), original, { abs: expected.tolerance.pixel_values_abs_png, rel: 0 });
    },
  );

  test("the original does not turn pictures: exif: false", async () => {
    const jpeg = image(join(folder, "picture-exif6.jpg"));
    const turned = await decodeImage(jpeg);
    const asStored = await decodeImage(jpeg, { exif: false });
    const decoded = await decodeImage(image(join(folder, "picture-exif6.decoded.png")));
    expect([asStored.width, asStored.height]).toEqual([decoded.width, decoded.height]);
    expect([turned.width, turned.height]).toEqual([decoded.height, decoded.width]);
  });

  test.each(["vision_features", "projector"])("what is seen: %s", (name) => {
    expectClose(seen[name], io[`output.${name}`], tolerance(name));
  });

  test.each([0, 1, 2, 3])("hidden state %i of the vision encoder, by either index", async (layer) => {
    const pixel_values = input("pixel_values", "float32", [symbol("B"), 3, 56, 56]);
    const all = need(io, `output.vision_hidden_states.${layer}`);
    const rows = floats(all);
    const withoutClass = [0, 1].flatMap((b) => Array.from(rows.subarray((b * (N + 1) + 1) * C, (b + 1) * (N + 1) * C)));
    for (const index of [layer, layer - 4]) {
      const other = honeybeeComposition({ ...config, feature_layer_index: index });
      other.bind(await openCheckpoint(folder));
      const graph = { inputs: { pixel_values }, outputs: { features: other.modules.vision_tower.forward(pixel_values) } };
      const see = await compileConverted(runtime, graph, temporary);
      const { features } = await see({ pixel_values: need(io, "input.pixel_values") });
      expectClose(features, float32(withoutClass, [2, N, C]), tolerance("vision_features"));
    }
    expect(() => clip(config.vision, { layer: 4 })).toThrow("expected a whole number from -4 to 3 (3 layers), got 4");
  });

  test.each(runNames)("%s: ids and logits", async (name) => {
    const { pictures, input_ids, attention_mask } = expected.runs[name] as Run;
    const shown = input_ids.length === 1 ? [pictures] : pictures.map((picture) => [picture]);
    const features = float32(floats(seen.projector), [2 * T, 48]);
    const last: number[] = [];
    for (const [row, padded] of input_ids.entries()) {
      const ids = padded.filter((_, i) => attention_mask[row]?.[i] === 1);
      const rows = (shown[row] ?? []).flatMap((picture) =>
        picture === null ? [] : Array.from({ length: T }, (_, i) => (picture === "picture-a.png" ? i : T + i)),
      );
      const { logits } = await read({ ...promptFeeds(ids, PICTURE, rows), features });
      last.push(...floats(logits).slice(-V));
      const whole = io[`output.${name}.logits`];
      if (whole) expectClose(logits, whole, tolerance("logits"));
    }
    const original = io[`output.${name}.logits_last`];
    if (original) expectClose(float32(last, [input_ids.length, V]), original, tolerance("logits"));
    expect(io[`output.${name}.logits`] ?? original).toBeDefined();
  });

  test.each((expected.tokenization as Row[]).map((row) => [row.prompt, row] as const))("ids of %j", (prompt, { head_no_eos, old }) => {
    const imageTokens = new Array<number>(prompt.split("<image>").length - 1).fill(T);
    for (const rendered of [true, false]) {
      expect(honeybeePrompt.dialect(tokenizer).promptIds(prompt, imageTokens, rendered)).toEqual(head_no_eos.input_ids);
      expect(honeybeePrompt2023.dialect(tokenizer).promptIds(prompt, imageTokens, rendered)).toEqual(old.input_ids);
    }
  });

  test("ids of a batch, December 2023: the same without its padding", () => {
    const { prompts, input_ids, attention_mask } = expected.tokenization_old_batch as Run & { prompts: readonly string[] };
    for (const [row, prompt] of prompts.entries()) {
      const ids = (input_ids[row] ?? []).filter((_, i) => attention_mask[row]?.[i] === 1);
      expect(honeybeePrompt2023.dialect(tokenizer).promptIds(prompt, [T], true)).toEqual(ids);
    }
  });
});

function processorOf({ processor }: Composition) {
  if (!processor) throw new Error("no processor");
  return processor;
}
