/** golden/blip2-opt-tiny, made by transformers: numbers, captions, answers, bad input. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openCheckpoint, writeSafetensors } from "@waggle/checkpoint";
import { input, symbol } from "@waggle/graph";
import { decodeImage } from "@waggle/image";
import type { QFormer } from "@waggle/projectors";
import { Runtime } from "@waggle/runtime";
import { loadTokenizer } from "@waggle/text";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { compileConverted, promptFeeds, promptGraph } from "../../../testing/multimodal.ts";
import type { Results } from "../../../testing/run-graph.ts";
import { expectClose, float32, floats, need, readTensors } from "../../../testing/tensors.ts";
import { folderProcessor } from "./assets.ts";
import { bindBlip2, blip2Composition } from "./blip2.ts";
import { readBlip2Config } from "./blip2-config.ts";
import type { Composition } from "./compose.ts";
import { type ImageInput, image, inspect, load, type MultimodalModel } from "./index.ts";

interface Run {
  readonly picture: string;
  readonly prompt: string | null;
  readonly max_new_tokens: number;
  readonly input_ids: readonly number[];
  readonly tokens: readonly number[];
  readonly new_text_stripped: string;
  readonly ended_by_eos: boolean;
}

const folder = fileURLToPath(new URL("../../../golden/blip2-opt-tiny/", import.meta.url));
const json = (name: string) => JSON.parse(readFileSync(join(folder, name), "utf8"));
const expected = json("expected.json");
const runs = Object.entries(expected.runs as Record<string, Run>).filter(([, { tokens }]) => tokens !== undefined);
const picture = (name: string): ImageInput => image(join(folder, name));
const near = { abs: expected.tolerance.activations.atol, rel: expected.tolerance.activations.rtol };
const PICTURE = 400;
/** Visual tokens of a picture. */
const T = 8;

let temporary: string;
let model: MultimodalModel;
beforeAll(async () => {
  temporary = mkdtempSync(join(tmpdir(), "waggle-blip2-"));
  model = await load(folder, { threads: 1 });
});
afterAll(() => {
  model.dispose();
  rmSync(temporary, { recursive: true });
});

describe("from pixels to logits", () => {
  let runtime: Runtime;
  let composition: Composition;
  let io: Awaited<ReturnType<typeof readTensors>>;
  let seen: Results;
  beforeAll(async () => {
    runtime = new Runtime({ threads: 1 });
    io = await readTensors(join(folder, "io.safetensors"));
    composition = blip2Composition(readBlip2Config(json("config.json"), "config.json"));
    bindBlip2(composition, await openCheckpoint(folder));
    const projector = composition.modules.multi_modal_projector as QFormer<number, number>;
    const pixel_values = input("pixel_values", "float32", [symbol("B"), 3, 56, 56]);
    const vision = composition.modules.vision_tower.forward(pixel_values);
    const outputs = {
      "vision.last_hidden_state": vision,
      qformer: projector.encode(vision).hidden,
      language_projection: projector.forward(vision),
    };
    const see = await compileConverted(runtime, { inputs: { pixel_values }, outputs }, temporary);
    seen = await see({ pixel_values: need(io, "input.pixel_values") });
  });
  afterAll(() => runtime.dispose());

  test("the pictures", async () => {
    const names = ["picture_a.png", "picture_b.png", "picture_c.png"];
    const pictures = await Promise.all(names.map((name) => decodeImage(picture(name))));
    const { pixel_values, shape } = await (await folderProcessor(folder)).process(pictures);
    expectClose(float32(pixel_values, shape), io["input.pixel_values"], { abs: expected.tolerance.pixel_values.atol, rel: 0 });
  });

  test.each(["vision.last_hidden_state", "qformer", "language_projection"])("what is seen: %s", (name) => {
    expectClose(seen[name], io[`output.${name}`], near);
  });

  test.each(runs)("%s: merged embeddings and logits", async (name, { picture: shown, input_ids }) => {
    const read = await compileConverted(runtime, promptGraph(composition.modules.language_model), temporary);
    const at = ["picture_a.png", "picture_b.png", "picture_c.png"].indexOf(shown);
    const rows = Array.from({ length: T }, (_, row) => at * T + row);
    const features = float32(floats(seen.language_projection), [3 * T, 56]);
    const { inputs_embeds, logits } = await read({ ...promptFeeds(input_ids, PICTURE, rows), features });
    const whole = io[`output.${name}.logits`];
    if (whole !== undefined) {
      expectClose(inputs_embeds, io[`output.${name}.inputs_embeds`], near);
      expectClose(logits, whole, near);
    } else {
      expectClose(float32(floats(logits).slice(-416), [1, 416]), io[`output.${name}.last_logits`], near);
    }
  });
});

describe("answers", () => {
  test.each(runs)("%s", async (_, { picture: shown, prompt, max_new_tokens, input_ids, tokens, new_text_stripped, ended_by_eos }) => {
    const result = await model.generate(prompt ?? "", { images: [picture(shown)], max_new_tokens });
    expect(result.tokenIds).toEqual(tokens);
    expect(result.text).toBe(new_text_stripped);
    expect(result.usage).toEqual({ promptTokens: input_ids.length, imageTokens: T, completionTokens: tokens.length });
    expect(result.finishReason).toBe(ended_by_eos ? "stop" : "length");
    const named = await model.generate(`<image>${prompt ?? ""}`, { images: [picture(shown)], max_new_tokens });
    expect(named.tokenIds).toEqual(tokens);
  });

  test.each(runs)("%s, as a message", async (_, { picture: shown, prompt, max_new_tokens, tokens, new_text_stripped }) => {
    const asked = /^Question: (.*) Answer:$/.exec(prompt ?? "")?.[1] ?? prompt;
    for (const text of new Set([prompt ?? "", asked ?? ""])) {
      const stream = model.chat([{ role: "user", content: [picture(shown), text] }], { max_new_tokens });
      let answer = "";
      for await (const piece of stream) answer += piece;
      expect((await stream.result).tokenIds).toEqual(tokens);
      expect(answer).toBe(new_text_stripped);
    }
  });

  test("two pictures in one batch: each row as transformers fills it, up to its end", async () => {
    const { pictures, sequences } = expected.runs.batch_captions_a_b as { pictures: string[]; sequences: number[][] };
    const answers = await Promise.all(pictures.map((name) => model.generate("", { images: [picture(name)], max_new_tokens: 20 })));
    for (const [row, { tokenIds }] of answers.entries()) {
      const sequence = sequences[row]?.slice(T + 1) ?? [];
      expect([...tokenIds, ...new Array(20 - tokenIds.length).fill(1)]).toEqual(sequence);
    }
  });

  test("beams", async () => {
    const { picture: shown, options, sequence } = expected.runs.beams_caption_a as { picture: string; options: object; sequence: number[] };
    const { tokenIds, text } = await model.generate("", { images: [picture(shown)], ...options });
    expect(tokenIds).toEqual(sequence.slice(T + 1));
    expect(text).toBe(expected.runs.beams_caption_a.text);
  });

  test("a second turn", async () => {
    const content = [picture("picture_a.png"), "is it day or night?"];
    const turns = [
      { role: "user", content } as const,
      { role: "assistant", content: "day" } as const,
      { role: "user", content: "why?" } as const,
    ];
    const text = "Question: is it day or night? Answer: day. Question: why? Answer:";
    const raw = await model.generate(text, { images: [picture("picture_a.png")], max_new_tokens: 6 });
    expect((await model.generate(turns, { max_new_tokens: 6 })).tokenIds).toEqual(raw.tokenIds);
  });

  test("the tokenizer's checks", async () => {
    const tokenizer = await loadTokenizer(folder);
    for (const { text, ids, decoded } of expected.tokenizer_checks as { text: string; ids: number[]; decoded: string }[]) {
      expect(tokenizer.encode(text)).toEqual(ids);
      expect(tokenizer.decode(ids, { skipSpecialTokens: true })).toBe(decoded);
    }
  });

  test("one picture, in front", async () => {
    const one = picture("picture_a.png");
    for (const [text, images] of [
      ["what?", []],
      ["what?", [one, one]],
      ["what <image>?", [one]],
      ["<image><image>", [one]],
    ] as const) {
      await expect(model.generate(text, { images })).rejects.toMatchObject({ code: "images", pictures: images.length });
    }
  });
});

describe("folders", () => {
  let count = 0;
  function variant(change: (config: Record<string, Record<string, unknown>>) => unknown): string {
    const copy = join(temporary, `folder-${count++}`);
    cpSync(folder, copy, { recursive: true, filter: (path) => !/(expected\.json|io\.safetensors|\.png)$/.test(path) });
    const config = json("config.json");
    change(config);
    writeFileSync(join(copy, "config.json"), JSON.stringify(config));
    return copy;
  }

  test("inspect", async () => {
    const { model_type, parts, tokensPerImage, maxPositions } = await inspect(folder);
    expect({ model_type, tokensPerImage, maxPositions }).toEqual({ model_type: "blip-2", tokensPerImage: T, maxPositions: 256 });
    expect(parts.map(({ parameters }) => parameters)).toEqual([85_344, 96_536, 152_936]);
  });

  test("a file that also holds the tied head; a config of before there was an image token", async () => {
    const copy = variant((config) => Reflect.deleteProperty(config, "image_token_index"));
    const { tensors } = await openCheckpoint(folder);
    const embeddings = tensors.get("language_model.model.decoder.embed_tokens.weight");
    if (embeddings === undefined) throw new Error("no embeddings");
    const head = { ...embeddings, name: "language_model.lm_head.weight", read: () => embeddings.read() };
    await writeSafetensors(join(copy, "model.safetensors"), [...tensors.values(), head]);
    using same = await load(copy, { threads: 1 });
    const [[, run]] = runs as [[string, Run]];
    const { tokenIds } = await same.generate("", {
      images: [picture(run.picture)],
      max_new_tokens: run.max_new_tokens,
      repetition_penalty: 1,
    });
    expect(tokenIds).toEqual(run.tokens);
  });

  test.each([
    ["text_config", { model_type: "t5" }, 'text_config.model_type: "t5" is not supported. Supported: opt.'],
    ["qformer_config", { use_qformer_text_input: true }, "a Q-Former that reads the prompt (InstructBLIP) is not supported."],
    ["qformer_config", { hidden_act: "relu" }, "expected gelu"],
    ["qformer_config", { num_attention_heads: 5 }, "hidden_size / num_attention_heads"],
    ["vision_config", { num_attention_heads: 7 }, "expected a divisor of hidden_size 40, got 7"],
    ["text_config", { enable_bias: "no" }, "enable_bias: expected true or false"],
  ])("%s %j", async (part, fields, message) => {
    await expect(load(variant((config) => Object.assign(config[part] ?? {}, fields)))).rejects.toMatchObject({
      code: "config",
      message: expect.stringContaining(message),
    });
  });

  test("weights of other sizes: the file's own names, and nothing loaded", async () => {
    const smaller = variant((config) => Object.assign(config.vision_config ?? {}, { num_hidden_layers: 2 }));
    await expect(load(smaller)).rejects.toMatchObject({
      code: "state_dict",
      message: expect.stringContaining("unexpected  vision_model.encoder.layers.2.layer_norm1.bias"),
    });
    const tokens = variant((config) => Object.assign(config, { num_query_tokens: 9 }));
    await expect(load(tokens)).rejects.toMatchObject({ message: expect.stringContaining("module [1, 9, 48], file [1, 8, 48]") });
    const retrieval = variant((config) => Object.assign(config, { architectures: ["Blip2ForImageTextRetrieval"] }));
    await expect(load(retrieval)).rejects.toMatchObject({
      message: expect.stringContaining("Blip2ForImageTextRetrieval) is not supported"),
    });
  });
});
