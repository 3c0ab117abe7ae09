import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { image, load, type Message, type MultimodalModel } from "./index.ts";

const llava = fileURLToPath(new URL("../../../golden/llava-tiny-hf", import.meta.url));
const scene = join(llava, "scene.png");
const prompt = "USER: <image>\nWhat is shown in this picture? ASSISTANT:";

let temporary: string;
beforeAll(() => {
  temporary = mkdtempSync(join(tmpdir(), "waggle-request-"));
});
afterAll(() => rmSync(temporary, { recursive: true }));

describe("a request that cannot be served", () => {
  let model: MultimodalModel;
  beforeAll(async () => {
    model = await load(llava);
  });
  afterAll(() => model.dispose());

  test.each([
    ["a placeholder without a picture", prompt, 0, { placeholders: 1, pictures: 0 }],
    ["a picture without a placeholder", "USER: Hi. ASSISTANT:", 1, { placeholders: 0, pictures: 1 }],
    ["two placeholders, one picture", `<image>${prompt}`, 1, { placeholders: 2, pictures: 1 }],
  ])("%s", async (_, text, pictures, counts) => {
    const images = Array.from({ length: pictures }, () => image(scene));
    await expect(model.generate(text, { images })).rejects.toMatchObject({ name: "PromptError", code: "images", ...counts });
  });

  test("a picture that is not in a list", async () => {
    const images = image(scene) as unknown as readonly ReturnType<typeof image>[];
    await expect(model.generate(prompt, { images })).rejects.toMatchObject({
      name: "PromptError",
      message: expect.stringMatching(/a list/) as string,
    });
  });

  test("a placeholder that the user wrote into a message", async () => {
    const messages: Message[] = [{ role: "user", content: "What is <image>?" }];
    await expect(model.generate(messages)).rejects.toMatchObject({ code: "images", placeholders: 1, pictures: 0 });
  });

  test("a prompt longer than the context, with both numbers", async () => {
    const long = `USER: ${"cat ".repeat(600)}ASSISTANT:`;
    await expect(model.generate(long)).rejects.toMatchObject({
      code: "context-length",
      maxPositions: 512,
      promptTokens: expect.any(Number),
    });
  });

  test.each([
    [{ max_new_tokens: 0 }, "max_new_tokens: expected an integer ≥ 1, got 0"],
    [{ do_sample: true, temperature: Number.NaN }, "temperature: expected a number > 0, got NaN"],
    [{ max_tokens: 5 }, "max_tokens: unknown option"],
    [{ num_return_sequences: 3 }, "num_return_sequences: 3 is more than num_beams: 1"],
    [{ num_beams: 3, early_stopping: "soon" }, 'early_stopping: expected one of true, false, "never", got "soon"'],
  ])("%j", async (options, message) => {
    const error = await model.generate("USER: Hi. ASSISTANT:", options as object).catch((error: unknown) => error);
    expect(error).toMatchObject({ name: "GenerationError", code: "option", message: expect.stringContaining(message) });
  });

  test("pictures that are none: typed errors that name the file, and the model goes on", async () => {
    const text = join(temporary, "text.png");
    writeFileSync(text, "this is not a picture");
    await expect(model.generate(prompt, { images: [image(text)] })).rejects.toMatchObject({
      name: "ImageError",
      message: expect.stringContaining("text.png"),
    });
    await expect(model.generate(prompt, { images: [image(join(temporary, "none.png"))] })).rejects.toMatchObject({ name: "ImageError" });
    const { text: answer } = await model.generate(prompt, { images: [image(scene)], max_new_tokens: 2 });
    expect(answer).not.toBe("");
  });

  test("limits for pictures come from load()", async () => {
    const strict = await load(llava, { pictures: { maxPixels: 1000 } });
    await expect(strict.generate(prompt, { images: [image(scene)] })).rejects.toMatchObject({ name: "ImageError" });
    strict.dispose();
  });

  test("messages that are none", async () => {
    const wrong = [
      [],
      [{ role: "robot", content: "Hi" }],
      [{ role: "user", content: 5 }],
      [{ role: "user", content: [{ type: "video" }] }],
      [{ role: "user", content: [{ type: "image" }] }],
    ];
    for (const messages of wrong) {
      await expect(model.generate(messages as unknown as Message[])).rejects.toMatchObject({ name: "PromptError", code: "messages" });
    }
  });

  test("abort before, during the picture, during the answer, and after", async () => {
    const reason = new Error("stop it");
    const images = [image(scene)];
    await expect(model.generate(prompt, { images, signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    const early = new AbortController();
    const waiting = model.generate(prompt, { images: [image(join(llava, "deep.png"))], signal: early.signal });
    early.abort(reason);
    await expect(waiting).rejects.toBe(reason);
    const during = new AbortController();
    const stream = model.stream(prompt, { images, max_new_tokens: 300, signal: during.signal });
    const read = async () => {
      for await (const _ of stream) during.abort(reason);
    };
    await expect(read()).rejects.toBe(reason);
    await expect(stream.result).rejects.toBe(reason);
    const late = new AbortController();
    const done = await model.generate(prompt, { images, max_new_tokens: 3, signal: late.signal });
    late.abort(reason);
    expect(done.tokenIds).toHaveLength(3);
  });

  test("leaving the loop, or stop(), is no error: what there is", async () => {
    const stream = model.stream(prompt, { images: [image(scene)], max_new_tokens: 300 });
    for await (const _ of stream) break;
    expect(await stream.result).toMatchObject({ finishReason: "abort", usage: { imageTokens: 16 } });
    const stopped = model.stream(prompt, { images: [image(scene)], max_new_tokens: 300 });
    stopped.stop();
    expect((await stopped.result).finishReason).toBe("abort");
  });

  test("a model that is disposed", async () => {
    const gone = await load(llava);
    const running = gone.generate(prompt, { images: [image(scene)], max_new_tokens: 300 });
    await new Promise((resolve) => setTimeout(resolve, 30));
    gone.dispose();
    gone.dispose();
    await expect(running).rejects.toMatchObject({ code: "disposed" });
    await expect(gone.generate("Hi")).rejects.toMatchObject({ code: "disposed" });
  });

  test("abort while loading leaves nothing behind", async () => {
    const controller = new AbortController();
    const loading = load(llava, { signal: controller.signal, onProgress: () => controller.abort(new Error("changed my mind")) });
    await expect(loading).rejects.toThrow("changed my mind");
  });
});
