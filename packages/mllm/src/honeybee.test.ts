/** golden/honeybee-tiny-c-abs and -d-abs: the authors' prompts, options and tokens; composed models; folders in other forms. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { readJson } from "@waggle/checkpoint";
import { llama } from "@waggle/language";
import { cAbstractor, dAbstractor } from "@waggle/projectors";
import { honeybeeDemo } from "@waggle/text";
import { clip } from "@waggle/vision";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { compose, honeybeePrompt, honeybeePrompt2023, type ImageInput, image, inspect, load, type MultimodalModel } from "./index.ts";

interface Run {
  readonly prompts: readonly string[];
  readonly pictures: readonly (string | null)[];
  readonly options: Readonly<Record<string, unknown>>;
  readonly same_inputs_as?: string;
  readonly tokens: readonly (readonly number[])[];
  readonly text?: readonly string[];
}

const cases = fileURLToPath(new URL("../../../golden/", import.meta.url));
const question = "What is in the image?";

let temporary: string;
beforeAll(() => {
  temporary = mkdtempSync(join(tmpdir(), "waggle-honeybee-"));
  process.env.WAGGLE_CACHE ??= temporary;
});
afterAll(() => rmSync(temporary, { recursive: true }));

describe.each(["c-abs", "d-abs"])("honeybee-tiny-%s", (kind) => {
  const folder = join(cases, `honeybee-tiny-${kind}`);
  const expected = JSON.parse(readFileSync(join(folder, "expected.json"), "utf8"));
  const picture = (name: string): ImageInput => image(join(folder, name.replace(".jpg", ".decoded.png")));
  const runs = Object.entries(expected.runs as Record<string, Run>)
    .filter(([name, { tokens }]) => tokens !== undefined && name !== "one_image_old_tokenization")
    .map(([name, run]) => {
      const { prompts, pictures } = run.same_inputs_as === undefined ? run : (expected.runs[run.same_inputs_as] as Run);
      return [name, { ...run, prompts, pictures }] as const;
    });
  let model: MultimodalModel;
  beforeAll(async () => {
    model = await load(folder, { threads: 1 });
  });
  afterAll(() => model.dispose());

  test.each(runs)("%s", async (_, { prompts, pictures, options, tokens, text }) => {
    const { use_cache, pad_token_id, ...asked } = options;
    const answers = await Promise.all(
      prompts.map((prompt, row) => {
        const shown = (prompts.length === 1 ? pictures : [pictures[row] ?? null]).flatMap((name) => (name === null ? [] : [picture(name)]));
        return model.generate(prompt, { images: shown, ...asked, ...(asked.num_beams !== 1 && { semantics: "4.38" as const }) });
      }),
    );
    const longest = Math.max(...answers.map(({ tokenIds }) => tokenIds.length));
    expect(answers.map(({ tokenIds }) => [...tokenIds, ...new Array<number>(longest - tokenIds.length).fill(0)])).toEqual(tokens);
    if (text) expect(answers.map((answer) => answer.text)).toEqual(text);
  });

  test.each(runs.filter(([, { prompts }]) => prompts.length === 1))(
    "%s, with the semantics of December 2023",
    async (name, { prompts, pictures, options }) => {
      const [[bos, ...tokens]] = expected.old_code_run.runs[name].tokens;
      const { use_cache, pad_token_id, ...asked } = options;
      const images = pictures.flatMap((shown) => (shown === null ? [] : [picture(shown)]));
      const { tokenIds } = await model.generate(prompts[0] ?? "", { images, ...asked, semantics: "4.36" });
      expect([bos, ...tokenIds]).toEqual([1, ...tokens]);
    },
  );

  test("messages: the authors' prompt, several pictures, several turns, another template", async () => {
    const { one_image, text_only } = expected.runs as Record<string, Run>;
    const ask = (...content: (string | ImageInput)[]) => ({ role: "user", content }) as const;
    const asked = async (messages: Parameters<MultimodalModel["chat"]>[0]) => {
      const stream = model.chat(messages, { max_new_tokens: 24 });
      let text = "";
      for await (const piece of stream) text += piece;
      const { tokenIds, ...result } = await stream.result;
      expect(text).toBe(result.text);
      return [tokenIds];
    };
    const a = picture("picture-a.png");
    expect(await asked([ask(a, question)])).toEqual(one_image?.tokens);
    expect(await asked([ask("Name three colors.")])).toEqual(text_only?.tokens);
    const raw = await model.generate(honeybeePrompt.render([ask("Hello."), { role: "assistant", content: "Hi." }, ask(a, question)]), {
      images: [a],
      max_new_tokens: 24,
    });
    expect(await asked([ask("Hello."), { role: "assistant", content: "Hi." }, ask(a, question)])).toEqual([raw.tokenIds]);
  });

  test("messages draw as the authors' notebook does, unless the call says otherwise", async () => {
    const text = honeybeePrompt.render([{ role: "user", content: question }]);
    const drawn = { do_sample: true, seed: 4, max_new_tokens: 12, temperature: 3 };
    const [chat, five, fifty] = await Promise.all([
      model.generate([{ role: "user", content: question }], drawn),
      model.generate(text, { ...drawn, top_k: 5 }),
      model.generate(text, { ...drawn, top_k: 50 }),
    ]);
    expect(chat.tokenIds).toEqual(five.tokenIds);
    expect(chat.tokenIds).not.toEqual(fifty.tokenIds);
  });

  test("pictures and placeholders must agree", async () => {
    const a = picture("picture-a.png");
    for (const [text, images] of [
      ["Human: <image>\nHuman: <image>\nAI: ", [a]],
      ["Human: hi\nAI: ", [a]],
    ] as const) {
      await expect(model.generate(text, { images })).rejects.toMatchObject({ code: "images", pictures: images.length });
    }
  });

  test("the tokenization of December 2023, and another template", async () => {
    const { prompts, tokens, text } = expected.runs.one_image_old_tokenization as Run;
    const a = picture("picture-a.png");
    using old = await load(folder, { threads: 1, prompt: honeybeePrompt2023 });
    const answer = await old.generate(prompts[0] ?? "", { images: [a], max_new_tokens: 24 });
    expect([answer.tokenIds]).toEqual(tokens);
    expect([answer.text]).toEqual(text);
    using demo = await load(folder, { threads: 1, prompt: honeybeeDemo });
    const messages = [{ role: "user", content: [a, question] }] as const;
    const raw = await model.generate(honeybeeDemo.render(messages), { images: [a], max_new_tokens: 6 });
    expect((await demo.generate(messages, { max_new_tokens: 6 })).tokenIds).toEqual(raw.tokenIds);
  });

  test("composed from parts, as architecture.md shows it", async () => {
    const config = await readJson(join(folder, "config.json"));
    const { vision_config, text_config } = config as { vision_config: object; text_config: object };
    const { decoder_layers, decoder_attention_heads, decoder_ffn_dim } = {
      decoder_layers: 2,
      decoder_attention_heads: 4,
      decoder_ffn_dim: 32,
    };
    const bee = compose({
      vision: clip(vision_config, { layer: -2 }),
      projector:
        kind === "c-abs"
          ? cAbstractor({ tokens: 9 })
          : dAbstractor({ tokens: 9, d_model: 32, decoder_layers, decoder_attention_heads, decoder_ffn_dim }),
      language: llama(text_config),
      prompt: honeybeePrompt,
    });
    using own = await bee.load(folder, { threads: 1 });
    const { pictures, tokens } = expected.runs.one_image as Run;
    const content = [...pictures.flatMap((name) => (name === null ? [] : [picture(name)])), question];
    expect([(await own.generate([{ role: "user", content }], { max_new_tokens: 24 })).tokenIds]).toEqual(tokens);
  });

  test("inspect", async () => {
    const { model_type, parts, tokensPerImage, maxPositions, parameters } = await inspect(folder);
    expect({ model_type, tokensPerImage, maxPositions }).toEqual({ model_type: "honeybee", tokensPerImage: 9, maxPositions: 1024 });
    expect(parts.map(({ name, dtypes }) => [name, dtypes])).toEqual([
      ["vision encoder", ["bfloat16"]],
      ["projector", [kind === "c-abs" ? "bfloat16" : "float32"]],
      ["language model", ["bfloat16"]],
    ]);
    expect(parameters).toBe(parts.reduce((sum, part) => sum + part.parameters, 0));
  });
});
