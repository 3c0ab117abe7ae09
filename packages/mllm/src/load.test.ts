import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openCheckpoint, WeightCache, writeSafetensors } from "@waggle/checkpoint";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { image, load, type Message, type MultimodalModel } from "./index.ts";

interface Case {
  readonly name: string;
  readonly images: readonly string[];
  readonly prompt: string;
  readonly messages?: readonly {
    readonly role: "user" | "assistant";
    readonly content: readonly ({ readonly type: "image" } | { readonly type: "text"; readonly text: string })[];
  }[];
  readonly max_new_tokens: number;
  readonly promptIds: readonly number[];
  readonly tokenIds: readonly number[];
  readonly text: string;
}
interface Expected {
  readonly cases: readonly Case[];
  readonly batchLeftPadded: { readonly of: readonly string[]; readonly tokenIds: readonly (readonly number[])[] };
}

const root = fileURLToPath(new URL("../../../golden/", import.meta.url));
const llava = join(root, "llava-tiny-hf");
const expected = (folder: string): Expected => JSON.parse(readFileSync(join(folder, "expected.json"), "utf8"));
const { cases, batchLeftPadded } = expected(llava);
const pictures = (names: readonly string[]) => names.map((name) => image(join(llava, name)));

let temporary: string;
beforeAll(() => {
  temporary = mkdtempSync(join(tmpdir(), "waggle-mllm-"));
});
afterAll(() => rmSync(temporary, { recursive: true }));

/** golden/llava-tiny-hf with other weights and config. */
async function variant(name: string, change: (folder: string) => void | Promise<void>): Promise<string> {
  const folder = join(temporary, name);
  cpSync(llava, folder, { recursive: true, filter: (path) => !/(expected\.json|io\.safetensors)$/.test(path) });
  await change(folder);
  return folder;
}

async function answersAll(model: MultimodalModel): Promise<void> {
  for (const { name, prompt, images, max_new_tokens, promptIds, tokenIds, text } of cases) {
    const result = await model.generate(prompt, { images: pictures(images), max_new_tokens });
    expect({ name, text: result.text, tokenIds: result.tokenIds }).toEqual({ name, text, tokenIds });
    expect(result.usage).toEqual({ promptTokens: promptIds.length, imageTokens: 16 * images.length, completionTokens: tokenIds.length });
    expect(result.finishReason).toBe(tokenIds.at(-1) === 2 ? "stop" : "length");
  }
}

describe("golden/llava-tiny-hf", () => {
  let model: MultimodalModel;
  beforeAll(async () => {
    model = await load(llava);
  });
  afterAll(() => model.dispose());

  test("every case: tokens, text, usage", () => answersAll(model));

  test.each(cases.filter(({ messages }) => messages))(
    "$name: the messages give the same",
    async ({ name, messages = [], images, max_new_tokens, promptIds, tokenIds, text }) => {
      const given = pictures(images);
      const spoken = messages.map(
        ({ role, content }): Message => ({
          role,
          content: content.flatMap((part) => (part.type === "image" ? (given.shift() ?? []) : part)),
        }),
      );
      const stream = model.chat(spoken, { max_new_tokens });
      let shown = "";
      for await (const piece of stream) shown += piece;
      const result = await stream.result;
      expect(result).toMatchObject({ text, tokenIds, usage: { promptTokens: promptIds.length } });
      // That answer begins with the bytes 16 9e, no UTF-8 together: a stream has shown the first before it sees the second.
      if (name !== "chat-multi-turn") expect(shown).toBe(text);
    },
  );

  test("requests that run together get what the left-padded batch gets, and what each gets alone", async () => {
    const together = await Promise.all(
      batchLeftPadded.of.map((name) => {
        const { prompt, images, max_new_tokens } = find(name);
        return model.generate(prompt, { images: pictures(images), max_new_tokens });
      }),
    );
    expect(together.map(({ tokenIds }) => tokenIds)).toEqual(batchLeftPadded.tokenIds);
    const all = await Promise.all(
      cases.map(({ prompt, images, max_new_tokens }) => model.generate(prompt, { images: pictures(images), max_new_tokens })),
    );
    expect(all.map(({ tokenIds }) => tokenIds)).toEqual(cases.map(({ tokenIds }) => tokenIds));
  });

  test("more pictures than are kept: each prompt still sees its own", async () => {
    const all = ["scene.png", "alpha.png", "gray.jpg", "exif.jpg", "deep.png"];
    const many = Array.from({ length: 11 }, (_, i) => all[i % 5] ?? "");
    const prompt = `USER: ${"<image>\n".repeat(many.length)}Compare. ASSISTANT:`;
    const alone = await model.generate(prompt, { images: pictures(many), max_new_tokens: 8 });
    expect(alone.usage.imageTokens).toBe(16 * 11);
    const [again, ...rest] = await Promise.all([
      model.generate(prompt, { images: pictures(many), max_new_tokens: 8 }),
      ...cases
        .slice(0, 5)
        .map(({ prompt, images, max_new_tokens }) => model.generate(prompt, { images: pictures(images), max_new_tokens })),
    ]);
    expect(again.tokenIds).toEqual(alone.tokenIds);
    expect(rest.map(({ tokenIds }) => tokenIds)).toEqual(cases.slice(0, 5).map(({ tokenIds }) => tokenIds));
  });

  test("the same picture from other bytes has the same answer; another picture in the same place has not", async () => {
    const { prompt, tokenIds, max_new_tokens } = find("one-image-scene");
    const bytes = image(new Uint8Array(readFileSync(join(llava, "scene.png"))));
    expect((await model.generate(prompt, { images: [bytes], max_new_tokens })).tokenIds).toEqual(tokenIds);
    const other = await model.generate(prompt, { images: pictures(["gray.jpg"]), max_new_tokens });
    expect(other.tokenIds).toEqual(find("one-image-gray").tokenIds);
  });

  test("a stop string that is a special token ends the answer as a token, and is not part of the text", async () => {
    const { prompt, tokenIds, text } = find("text-only");
    const result = await model.generate(prompt, { eos_token_id: [], stop_strings: ["</s>"], max_new_tokens: 24 });
    expect(result).toMatchObject({ tokenIds, text, finishReason: "stop" });
    const endless = await model.generate(prompt, { eos_token_id: [], max_new_tokens: 24 });
    expect(endless.tokenIds).toHaveLength(24);
  });

  test("samples with a seed, the same each time", async () => {
    const { prompt, images } = find("one-image-scene");
    const options = { images: pictures(images), do_sample: true, temperature: 0.8, max_new_tokens: 12 };
    const [a, b, c] = await Promise.all([7, 7, 8].map((seed) => model.generate(prompt, { ...options, seed })));
    expect(a?.tokenIds).toEqual(b?.tokenIds);
    expect(a?.tokenIds).not.toEqual(c?.tokenIds);
  });
});

describe("other spellings of the same checkpoint", () => {
  const answers = async (folder: string) => {
    const model = await load(folder, { weightCache: new WeightCache({ folder: join(temporary, "cache") }) });
    try {
      await answersAll(model);
    } finally {
      model.dispose();
    }
  };
  const rewrite = async (folder: string, rename: (key: string) => string) => {
    const { tensors } = await openCheckpoint(folder);
    await writeSafetensors(
      join(folder, "model.safetensors"),
      Array.from(tensors.values(), (tensor) => ({ ...tensor, name: rename(tensor.name) })),
    );
    rmSync(join(folder, "model.safetensors.index.json"));
  };

  test("golden/llava-tiny-hf-newkeys: as transformers 5 holds it in memory", async () => {
    const newkeys = join(root, "llava-tiny-hf-newkeys");
    await answers(
      await variant("newkeys", (folder) => {
        rmSync(join(folder, "model.safetensors.index.json"));
        for (const name of ["config.json", "generation_config.json", "model.safetensors"]) cpSync(join(newkeys, name), join(folder, name));
      }),
    );
  });

  test("as transformers 4.52 to 4.57 held it in memory", async () => {
    const rename = (key: string) =>
      key
        .replace(/^vision_tower\./, "model.vision_tower.")
        .replace(/^multi_modal_projector\./, "model.multi_modal_projector.")
        .replace(/^language_model\.model\./, "model.language_model.")
        .replace(/^language_model\.lm_head\./, "lm_head.");
    await answers(await variant("middle", (folder) => rewrite(folder, rename)));
  });

  test("a config that says only what is not the default, and image_token_id instead of image_token_index", async () => {
    await answers(
      await variant("terse", (folder) => {
        const { text_config, vision_config } = JSON.parse(readFileSync(join(folder, "config.json"), "utf8"));
        for (const field of ["model_type", "rope_theta", "hidden_act", "tie_word_embeddings", "attention_bias"]) delete text_config[field];
        for (const field of ["model_type", "hidden_act", "layer_norm_eps"]) delete vision_config[field];
        writeFileSync(
          join(folder, "config.json"),
          JSON.stringify({ model_type: "llava", image_token_id: 1000, text_config, vision_config }),
        );
        rmSync(join(folder, "generation_config.json"));
        rmSync(join(folder, "processor_config.json"));
      }),
    );
  });

  test("the image processor inside processor_config.json, as transformers 5 saves it", async () => {
    await answers(
      await variant("nested", (folder) => {
        const image_processor = JSON.parse(readFileSync(join(folder, "preprocessor_config.json"), "utf8"));
        rmSync(join(folder, "preprocessor_config.json"));
        writeFileSync(join(folder, "processor_config.json"), JSON.stringify({ image_processor, image_token: "<image>", patch_size: 14 }));
      }),
    );
  });
});

describe("a language model alone", () => {
  const folder = join(root, "llama-tiny");
  const tiny = JSON.parse(readFileSync(join(folder, "expected.json"), "utf8")) as {
    cases: readonly (Omit<Case, "messages"> & { messages?: readonly Message[] })[];
  };
  let model: MultimodalModel;
  beforeAll(async () => {
    model = await load(folder);
  });
  afterAll(() => model.dispose());

  test.each(tiny.cases)("golden/llama-tiny: $name", async ({ prompt, messages, max_new_tokens, promptIds, tokenIds, text }) => {
    const given = messages ?? prompt;
    const result = await model.generate(given, { max_new_tokens });
    expect(result).toMatchObject({ tokenIds, text, usage: { promptTokens: promptIds.length, imageTokens: 0 } });
  });

  test("its generation_config.json gives the defaults: max_length 2048 counts the prompt", async () => {
    const { usage, finishReason } = await model.generate("The small cat", { eos_token_id: [], do_sample: true, seed: 1 });
    expect([usage.promptTokens + usage.completionTokens, finishReason]).toEqual([2048, "length"]);
  });

  test("tied embeddings: a copy of them in the file does not count, as in transformers", async () => {
    const { tensors } = await openCheckpoint(folder);
    const answers: (readonly number[])[] = [];
    for (const withCopy of [true, false]) {
      const tied = join(temporary, `tied-${withCopy}`);
      cpSync(folder, tied, { recursive: true, filter: (path) => !/(safetensors|expected\.json)$/.test(path) });
      const config = JSON.parse(readFileSync(join(folder, "config.json"), "utf8"));
      writeFileSync(join(tied, "config.json"), JSON.stringify({ ...config, tie_word_embeddings: true }));
      await writeSafetensors(
        join(tied, "model.safetensors"),
        [...tensors.values()].filter(({ name }) => withCopy || name !== "lm_head.weight"),
      );
      using one = await load(tied);
      answers.push((await one.generate("The small cat", { max_new_tokens: 8 })).tokenIds);
    }
    expect(answers[0]).toEqual(answers[1]);
    const { tokenIds } = await model.generate("The small cat", { max_new_tokens: 8 });
    expect(answers[0]).not.toEqual(tokenIds); // the head that is not tied says something else
  });

  test("has no eyes", async () => {
    await expect(model.generate("What is it?", { images: pictures(["scene.png"]) })).rejects.toMatchObject({
      code: "images",
      placeholders: 0,
      pictures: 1,
    });
  });
});

function find(name: string): Case {
  const found = cases.find((each) => each.name === name);
  if (!found) throw new Error(`golden/llava-tiny-hf has no case ${name}`);
  return found;
}
