import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openCheckpoint } from "@waggle/checkpoint";
import { chatTemplate, vicunaV1 } from "@waggle/text";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { conversations } from "./conversation-mode.ts";
import { convert, image, inspect, type LoadOptions, load, type Message } from "./index.ts";
import { jinjaTemplate } from "./jinja-template.ts";

const golden = fileURLToPath(new URL("../../../golden/", import.meta.url));

let temporary: string;
beforeAll(() => {
  temporary = mkdtempSync(join(tmpdir(), "waggle-convert-"));
});
afterAll(() => rmSync(temporary, { recursive: true }));

let count = 0;
function target(): string {
  return join(temporary, `converted-${count++}`);
}

/** Ids of an answer to messages, to a prompt text, and of one that beams found. */
async function answers(folder: string, picture: string | null, options: LoadOptions = {}): Promise<unknown> {
  using model = await load(folder, options);
  const images = picture === null ? [] : [image(join(golden, picture))];
  const messages: Message[] = [{ role: "user", content: [...images, "What is shown in this picture?"] }];
  const text = picture === null ? "What is it?" : "<image>\nWhat is it?";
  const greedy = await model.generate(text, { max_new_tokens: 12, images });
  const beams = await model.generate(text, { max_new_tokens: 6, images, num_beams: 3, repetition_penalty: 1.3 });
  const chat = await model.generate(messages, { max_new_tokens: 12 });
  return [greedy, beams, chat].map((answer) => ({ ids: answer.tokenIds, text: answer.text, usage: answer.usage }));
}

const original = join(golden, "llava-tiny-original");
const cases: readonly (readonly [name: string, folder: string, picture: string | null, options?: LoadOptions])[] = [
  ["llava-hf", "llava-tiny-hf", "llava-tiny-hf/scene.png"],
  ["LLaVA-NeXT", "llava-next-tiny", "llava-next-tiny/wide.png"],
  ["LLaVA, its authors' layout", "llava-tiny-original", "llava-tiny-original/scene.png"],
  ["LLaVA's projector over its base", "llava-tiny-original/stage1-projector", "llava-tiny-original/scene.png", { base: original }],
  ["LLaVA's LoRA over its base", "llava-tiny-original/lora", "llava-tiny-original/scene.png", { base: original }],
  ["LLaVA with tiles", "llava-tiny-anyres", "llava-tiny-anyres/wide.png"],
  ["Honeybee", "honeybee-tiny-c-abs", "honeybee-tiny-c-abs/picture-a.png"],
  ["MiniGPT-4", "minigpt4-tiny", "minigpt4-tiny/picture_a.png"],
  ["BLIP-2", "blip2-opt-tiny", "blip2-opt-tiny/picture_a.png"],
  ["a language model", "llama-tiny", null],
];

test.for(cases)("%s answers as before", async ([, folder, picture, options]) => {
  const to = target();
  const before = await answers(join(golden, folder), picture, options);
  const files = await convert(join(golden, folder), to, options);
  expect(files.filter((file) => /\.(bin|pth)$/.test(file))).toEqual([]);
  expect(await answers(to, picture)).toEqual(before);
});

describe("what is written", () => {
  test("the authors' answers, from the layout of transformers", async () => {
    const { cases: told } = JSON.parse(readFileSync(join(original, "expected.json"), "utf8"));
    const to = target();
    await convert(original, to);
    using model = await load(to, { prompt: vicunaV1, pictures: { exif: false } });
    for (const { prompt, images, tokenIds, max_new_tokens } of told) {
      const pictures = images.map((name: string) => image(join(original, name)));
      expect((await model.generate(prompt, { images: pictures, max_new_tokens, do_sample: false })).tokenIds).toEqual(tokenIds);
    }
  });

  test("LLaVA's folder holds what transformers looks for, and no more", async () => {
    const to = target();
    const files = await convert(original, to);
    expect(files).toEqual(readdirSync(to).map((name) => join(to, name)));
    expect(readdirSync(to).sort()).toEqual([
      "added_tokens.json",
      "chat_template.jinja",
      "config.json",
      "generation_config.json",
      "model.safetensors",
      "preprocessor_config.json",
      "processor_config.json",
      "special_tokens_map.json",
      "tokenizer.json",
      "tokenizer.model",
      "tokenizer_config.json",
    ]);
    const { tensors } = await openCheckpoint(to);
    // The encoder has 3 layers, of which 2 are used; the vocabulary 1000 tokens and `<image>`.
    expect(tensors.get("vision_tower.vision_model.encoder.layers.2.mlp.fc1.weight")).toBeDefined();
    expect(tensors.get("language_model.model.embed_tokens.weight")?.shape).toEqual([1001, 64]);
    expect(
      Array.from(tensors.keys()).filter((key) => !/^(vision_tower\.vision_model|multi_modal_projector|language_model)\./.test(key)),
    ).toEqual([]);
  });

  test.each(["float16", "bfloat16", "float32"] as const)("in %s", async (dtype) => {
    const to = target();
    await convert(join(golden, "llama-tiny"), to, { dtype });
    const { tensors } = await openCheckpoint(to);
    expect(new Set(Array.from(tensors.values(), (tensor) => tensor.dtype))).toEqual(new Set([dtype]));
    expect(JSON.parse(readFileSync(join(to, "config.json"), "utf8")).torch_dtype).toBe(dtype);
    expect((await inspect(to)).parts[0]?.dtypes).toEqual([dtype]);
  });

  test.each(Object.entries(conversations))("the Jinja template of %s says what the template says", (_, template) => {
    const jinja = chatTemplate(jinjaTemplate(template, "<image>\n"));
    const conversation: Message[] = [
      { role: "user", content: [image("a.png"), image("b.png"), " What differs?"] },
      { role: "assistant", content: "The roof." },
      { role: "user", content: "  Why?\n" },
    ];
    for (const messages of [conversation.slice(0, 1), conversation, [{ role: "system" as const, content: "Be kind." }, ...conversation]])
      expect(jinja.render(messages)).toBe(template.render(messages));
  });
});

describe("nothing is half-written", () => {
  const nothing = (to: string) =>
    expect([existsSync(to), readdirSync(temporary).filter((name) => name.endsWith(".tmp"))]).toEqual([false, []]);

  test("a folder that is not empty is refused, an empty one taken", async () => {
    const to = target();
    mkdirSync(to);
    await convert(join(golden, "llama-tiny"), to);
    await expect(convert(join(golden, "llama-tiny"), to)).rejects.toMatchObject({ name: "CheckpointError", code: "unwritable" });
  });

  test("an abort leaves nothing", async () => {
    const to = target();
    const controller = new AbortController();
    const onProgress = ({ loaded }: { loaded: number }) => loaded > 100_000 && controller.abort();
    await expect(convert(original, to, { signal: controller.signal, onProgress })).rejects.toMatchObject({ name: "AbortError" });
    nothing(to);
  });

  test("a broken model leaves nothing", async () => {
    const to = target();
    const broken = target();
    mkdirSync(broken);
    writeFileSync(join(broken, "config.json"), readFileSync(join(golden, "llama-tiny", "config.json")));
    await expect(convert(broken, to)).rejects.toMatchObject({ name: "CheckpointError" });
    nothing(to);
  });

  test("a broken tokenizer is named by its own file, before any weight is written", async () => {
    const [to, broken] = [target(), target()];
    cpSync(join(golden, "llama-tiny"), broken, { recursive: true });
    writeFileSync(join(broken, "tokenizer.json"), "{");
    const phases: string[] = [];
    const converting = convert(broken, to, { onProgress: ({ phase }) => phases.push(phase) });
    await expect(converting).rejects.toThrow(`${join(broken, "tokenizer.json")}: not valid JSON`);
    expect(phases).toEqual([]);
    nothing(to);
  });

  test("an unknown option, a place that cannot be written", async () => {
    const unknown = { type: "float16" } as object;
    await expect(convert(original, target(), unknown)).rejects.toThrow("type: is not an option");
    const file = join(golden, "llama-tiny", "config.json");
    await expect(convert(join(golden, "llama-tiny"), join(file, "below"))).rejects.toMatchObject({ code: "unwritable" });
  });
});
