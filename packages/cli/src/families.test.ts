/** `waggle generate` on the golden folders of model families that are not llava-hf. */
import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const waggle = fileURLToPath(new URL("../bin/waggle.js", import.meta.url));
const golden = fileURLToPath(new URL("../../../golden/", import.meta.url));
const runsOf = (family: string) => JSON.parse(readFileSync(join(golden, family, "expected.json"), "utf8")).runs;

let temporary: string;
beforeAll(() => {
  temporary = mkdtempSync(join(tmpdir(), "waggle-cli-"));
});
afterAll(() => rmSync(temporary, { recursive: true }));

async function generate(family: string, pictures: readonly string[], args: readonly string[]): Promise<string> {
  const images = pictures.flatMap((name) => ["--image", resolve(golden, family, name)]);
  const env = { ...process.env, WAGGLE_CACHE: temporary, HF_HUB_OFFLINE: "1" };
  const options = { env, timeout: 60_000 };
  return (await promisify(execFile)(process.execPath, [waggle, "generate", resolve(golden, family), ...images, ...args], options)).stdout;
}

describe("a MiniGPT-4 folder", () => {
  test.each(["main_third_picture", "two_images"])("%s", async (name) => {
    const { pictures, question, options, text } = runsOf("minigpt4-tiny")[name];
    const flags = ["--max-new-tokens", `${options.max_new_tokens}`, "--repetition-penalty", `${options.repetition_penalty}`];
    expect(await generate("minigpt4-tiny", pictures, ["--prompt", question, ...flags])).toBe(`${text}\n`);
  });

  test("--raw: the authors' batch prompt", async () => {
    const { pictures, texts, answers, tokens } = runsOf("minigpt4-tiny").batch_generate;
    const stdout = await generate("minigpt4-tiny", pictures.slice(0, 1), [
      "--raw",
      "--prompt",
      texts[0],
      "--max-new-tokens",
      "20",
      "--json",
    ]);
    expect(JSON.parse(stdout)).toMatchObject({ text: answers[0], tokenIds: tokens[0], finishReason: "length" });
  });
});

describe("LLaVA in its authors' layout", () => {
  const { cases, stage1Projector, lora } = JSON.parse(readFileSync(join(golden, "llava-tiny-original", "expected.json"), "utf8"));
  const original = join(golden, "llava-tiny-original");
  test.each([
    ["the whole model", "llava-tiny-original", cases, []],
    ["mm_projector.bin over its base", "llava-tiny-original/stage1-projector", stage1Projector.cases, ["--base", original]],
    ["a LoRA adapter over its base", "llava-tiny-original/lora", lora.cases, ["--base", original]],
  ])("%s", async (_, folder, [{ images, prompt, tokenIds, text }], base) => {
    const args = ["--raw", "--prompt", prompt, "--max-new-tokens", "24", "--json", ...base];
    const answer = JSON.parse(await generate(folder, [join(original, images[0])], args));
    expect(answer).toMatchObject({ tokenIds, text, usage: { imageTokens: 16 } });
  });

  test("what inspect says of them", async () => {
    const args = [waggle, "inspect", join(original, "lora"), "--base", original, "--json"];
    const { stdout } = await promisify(execFile)(process.execPath, args, { env: { ...process.env, HF_HUB_OFFLINE: "1" } });
    expect(JSON.parse(stdout)).toMatchObject({ model_type: "llava_llama", tokensPerImage: 16, maxPositions: 512 });
  });
});

test.each([
  ["convert", [join(golden, "llava-tiny-original/lora"), "--base", join(golden, "llava-tiny-original")]],
  ["merge", [join(golden, "llava-tiny-original"), join(golden, "llava-tiny-original/lora")]],
])("%s: an adapter over its base becomes one folder", async (name, which) => {
  const original = join(golden, "llava-tiny-original");
  const to = join(temporary, name);
  const command = [name, ...which, "--to", to, "--dtype", "f32"];
  const run = promisify(execFile)(process.execPath, [waggle, ...command], { timeout: 60_000 });
  expect((await run).stdout.split("\n")).toContain(join(to, "model.safetensors"));
  const { cases } = JSON.parse(readFileSync(join(original, "expected.json"), "utf8")).lora;
  const [{ images, prompt, tokenIds }] = cases;
  const args = ["--raw", "--prompt", prompt, "--max-new-tokens", "24", "--json"];
  expect(JSON.parse(await generate(to, [join(original, images[0])], args))).toMatchObject({ tokenIds });
});

test("export: an adapter over its base becomes three graphs", async () => {
  const original = join(golden, "llava-tiny-original");
  const to = join(temporary, "graphs");
  const command = ["export", join(original, "lora"), "--base", original, "--to", to];
  const { stdout } = await promisify(execFile)(process.execPath, [waggle, ...command], { timeout: 60_000 });
  const names = ["vision_encoder", "embed_tokens", "decoder_model_merged"];
  expect(stdout.trim().split("\n")).toEqual(names.map((name) => join(to, `${name}.onnx`)));
  expect(readdirSync(to).sort()).toEqual(names.flatMap((name) => [`${name}.onnx`, `${name}.onnx_data`]).sort());
});

test("chat: adapters over one base, one after the other", async () => {
  const original = join(golden, "llava-tiny-original");
  const args = ["chat", original, "--adapter", `tuned=${join(original, "lora")}`, "--greedy", "--max-new-tokens", "6"];
  const child = promisify(execFile)(process.execPath, [waggle, ...args], { timeout: 60_000 });
  child.child.stdin?.end("Hello\n/reset\n/adapter\nHello\n/reset\n/adapter tuned\nHello\n/adapter other\n");
  const said = (await child).stdout.trimEnd().split("\n");
  expect(said.at(-1)).toBe("There is no adapter other, but: tuned.");
  const [tuned, base, again] = said;
  expect(again).toBe(tuned);
  expect(base).not.toBe(tuned);
});

describe("a BLIP-2 folder", () => {
  test.each(["caption_b", "vqa_1_a"])("%s", async (name) => {
    const { picture, prompt, max_new_tokens, new_text_stripped } = runsOf("blip2-opt-tiny")[name];
    const args = ["--prompt", prompt ?? "", "--max-new-tokens", `${max_new_tokens}`];
    expect(await generate("blip2-opt-tiny", [picture], args)).toBe(`${new_text_stripped}\n`);
    expect(await generate("blip2-opt-tiny", [picture], [...args, "--raw"])).toBe(`${new_text_stripped}\n`);
  });
});

describe.each(["honeybee-tiny-c-abs", "honeybee-tiny-d-abs"])("a Honeybee folder, %s", (family) => {
  test("one picture, greedy and by beam search", async () => {
    const { one_image, beam3 } = runsOf(family);
    const args = ["--prompt", "What is in the image?", "--max-new-tokens", "24", "--json"];
    const greedy = JSON.parse(await generate(family, one_image.pictures, args));
    expect(greedy).toMatchObject({ tokenIds: one_image.tokens[0], text: one_image.text[0] });
    const beams = ["--num-beams", "3"];
    expect(JSON.parse(await generate(family, one_image.pictures, [...args, ...beams])).tokenIds).toEqual(beam3.tokens[0]);
  });

  test("--semantics and --honeybee-2023: the numbers and ids of December 2023", async () => {
    const { one_image_old_tokenization: old } = runsOf(family);
    const flags = ["--prompt", old.prompts[0], "--raw", "--max-new-tokens", "24", "--json", "--honeybee-2023", "--semantics", "4.30"];
    expect(JSON.parse(await generate(family, old.pictures, flags)).tokenIds).toEqual(old.tokens[0]);
  });

  test("inspect", async () => {
    const { stdout } = await promisify(execFile)(process.execPath, [waggle, "inspect", join(golden, family), "--json"], {
      timeout: 60_000,
    });
    expect(JSON.parse(stdout)).toMatchObject({ model_type: "honeybee", tokensPerImage: 9, maxPositions: 1024 });
  });
});
