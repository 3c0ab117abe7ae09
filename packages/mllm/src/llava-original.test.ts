import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openCheckpoint, writeSafetensors } from "@waggle/checkpoint";
import { llavaLlama2, llavaPlain, llavaV0, llavaV1, type PromptTemplate, vicunaV1 } from "@waggle/text";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { conversationModeFor } from "./conversation-mode.ts";
import { image, type LoadOptions, load, type Message, type MultimodalModel } from "./index.ts";

interface Case {
  readonly name: string;
  readonly images: readonly string[];
  readonly prompt: string;
  readonly template: string;
  readonly messages: readonly { readonly role: "user" | "assistant"; readonly content: string }[];
  readonly max_new_tokens: number;
  readonly promptIds: readonly number[];
  readonly tokenIds: readonly number[];
  readonly text: string;
}
interface Expected {
  readonly cases: readonly Case[];
  readonly stage1Projector?: { readonly cases: readonly Case[] };
  readonly lora?: { readonly cases: readonly Case[] };
  readonly pictures: Readonly<Record<string, { readonly tokens?: number }>>;
}

const golden = fileURLToPath(new URL("../../../golden/", import.meta.url));
const expected = (name: string): Expected => JSON.parse(readFileSync(join(golden, name, "expected.json"), "utf8"));
const original = join(golden, "llava-tiny-original");
const templates: Readonly<Record<string, PromptTemplate>> = {
  vicuna_v1: vicunaV1,
  llava_v1: llavaV1,
  llava_v0: llavaV0,
  llava_llama_2: llavaLlama2,
  plain: llavaPlain,
};
const shards = ["pytorch_model.bin.index.json", "pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"];
/** The authors do not turn pictures by their EXIF orientation. */
const asTheAuthors: LoadOptions = { pictures: { exif: false } };

let temporary: string;
beforeAll(() => {
  temporary = mkdtempSync(join(tmpdir(), "waggle-llava-"));
});
afterAll(() => rmSync(temporary, { recursive: true }));

let count = 0;
/** A copy of a golden folder with something changed. */
async function variant(from: string, change: (folder: string) => void | Promise<void>): Promise<string> {
  const folder = join(temporary, String(count++));
  cpSync(from, folder, { recursive: true, filter: (path) => !/(expected\.json|io\.safetensors)$/.test(path) });
  await change(folder);
  return folder;
}
function edit(file: string, change: Readonly<Record<string, unknown>>): (folder: string) => void {
  return (folder) =>
    writeFileSync(join(folder, file), JSON.stringify({ ...JSON.parse(readFileSync(join(folder, file), "utf8")), ...change }));
}

/** Every case: as a prompt text, and as messages through its template. */
async function answersAll(
  folder: string,
  cases: readonly Case[],
  { pictures, ...options }: LoadOptions & { from: string },
  tokensOf: (picture: string) => number,
): Promise<void> {
  const { from, ...given } = options;
  for (const [name, template] of Object.entries(templates)) {
    const own = cases.filter((one) => one.template === name);
    if (own.length === 0) continue;
    using model = await load(folder, { ...asTheAuthors, ...given, prompt: template });
    for (const { name, images, prompt, messages, max_new_tokens, promptIds, tokenIds, text } of own) {
      const seen = images.map((file) => image(join(from, file)));
      const imageTokens = images.reduce((sum, file) => sum + tokensOf(file), 0);
      const usage = { promptTokens: promptIds.length - images.length + imageTokens, imageTokens, completionTokens: tokenIds.length };
      const direct = await model.generate(prompt, { images: seen, max_new_tokens });
      expect({ name, tokenIds: direct.tokenIds, text: direct.text, usage: direct.usage }).toEqual({ name, tokenIds, text, usage });
      if (name.startsWith("plain")) continue; // a template of training: nobody is spoken to
      const spoken = messages.map(({ role, content }, i): Message => {
        const said = content.replaceAll("<image>\n", "").replaceAll("<image>", "");
        return { role, content: i === 0 ? [...seen, said] : said };
      });
      const chatted = await model.chat(spoken, { max_new_tokens }).result;
      expect({ name, tokenIds: chatted.tokenIds, text: chatted.text, usage: chatted.usage }).toEqual({ name, tokenIds, text, usage });
    }
  }
}

const all = expected("llava-tiny-original");
const sixteen = () => 16;

describe("golden/llava-tiny-original", () => {
  test("every case: tokens, text, usage, from prompts and from messages", () =>
    answersAll(original, all.cases, { from: original }, sixteen));

  test("stage 1: mm_projector.bin over its base", () =>
    answersAll(join(original, "stage1-projector"), all.stage1Projector?.cases ?? [], { from: original, base: original }, sixteen));

  test("a PEFT adapter with non_lora_trainables.bin over its base", () =>
    answersAll(join(original, "lora"), all.lora?.cases ?? [], { from: original, base: original }, sixteen));

  test("the adapter names its base, if nobody else does", async () => {
    const lora = await variant(join(original, "lora"), edit("adapter_config.json", { base_model_name_or_path: original }));
    await answersAll(lora, (all.lora?.cases ?? []).slice(0, 1), { from: original }, sixteen);
  });

  test("the adapter as safetensors, spelled as PEFT holds it in memory", async () => {
    const lora = await variant(join(original, "lora"), async (folder) => {
      const { tensors } = await openCheckpoint(join(folder, "adapter_model.bin"));
      const renamed = Array.from(tensors.values(), (tensor) => ({
        ...tensor,
        name: tensor.name.replace(/(lora_[AB])\.weight$/, "$1.default.weight"),
      }));
      await writeSafetensors(join(folder, "adapter_model.safetensors"), renamed);
      rmSync(join(folder, "adapter_model.bin"));
    });
    await answersAll(lora, (all.lora?.cases ?? []).slice(0, 2), { from: original, base: original }, sixteen);
  });

  test("the model's name says which template it was trained with, as in the authors' command line", () => {
    const names = [
      "liuhaotian/llava-v1.5-7b",
      "x/llava-v1.6-34b",
      "llava-llama-2-13b-chat",
      "/a/llava-v1.6-mistral-7b",
      "./LLaVA-Lightning-MPT-7B",
      "mine",
      "/runs/llava-v1.5/checkpoint-10",
    ];
    const modes = ["llava_v1", "chatml_direct", "llava_llama_2", "mistral_instruct", "mpt", "llava_v0", "llava_v1"];
    expect(names.map(conversationModeFor)).toEqual(modes);
  });

  test("pictures are turned by their EXIF orientation, unless told not to", async () => {
    const prompt = "USER: <image>\nWhat is it? ASSISTANT:";
    const options = { images: [image(join(original, "exif.jpg"))], max_new_tokens: 8 };
    using turned = await load(original);
    using unturned = await load(original, asTheAuthors);
    expect((await turned.generate(prompt, options)).tokenIds).not.toEqual((await unturned.generate(prompt, options)).tokenIds);
  });
});

describe("golden/llava-tiny-anyres", () => {
  const folder = join(golden, "llava-tiny-anyres");
  const { cases, pictures } = expected("llava-tiny-anyres");

  test("every case: tokens, text, usage; each picture has its own number of visual tokens", () =>
    answersAll(folder, cases, { from: folder }, (picture) => pictures[picture]?.tokens ?? Number.NaN));

  test("requests with different pictures at the same time", async () => {
    using model = await load(folder, asTheAuthors);
    const answers = await Promise.all(
      cases.map(({ prompt, images, max_new_tokens }) =>
        model.generate(prompt, { images: images.map((file) => image(join(folder, file))), max_new_tokens }),
      ),
    );
    expect(answers.map(({ tokenIds }) => tokenIds)).toEqual(cases.map(({ tokenIds }) => tokenIds));
  });
});

describe("other spellings", () => {
  const first = (n = 2) => all.cases.slice(0, n);

  test("safetensors; the vision encoder in the shards, without the folder's weights", async () => {
    const clip = await openCheckpoint(join(original, "openai/clip-tiny-patch14-56"));
    const inside = [...clip.tensors.values()].flatMap((tensor) =>
      tensor.name.startsWith("vision_model.") && tensor.dtype === "float32"
        ? [{ ...tensor, dtype: "float32" as const, name: `model.vision_tower.vision_tower.${tensor.name}` }]
        : [],
    );
    const folder = await variant(original, async (folder) => {
      const { tensors } = await openCheckpoint(original);
      for (const file of shards) rmSync(join(folder, file));
      await writeSafetensors(join(folder, "model.safetensors"), [...tensors.values(), ...inside]);
      rmSync(join(folder, "openai/clip-tiny-patch14-56/pytorch_model.bin"));
    });
    await answersAll(folder, first(), { from: original }, sixteen);
  });

  test("TinyLLaVA Factory's keys and config", async () => {
    const { tensors } = await openCheckpoint(original);
    const clip = await openCheckpoint(join(original, "openai/clip-tiny-patch14-56"));
    const folder = await variant(original, async (folder) => {
      const config = JSON.parse(readFileSync(join(folder, "config.json"), "utf8"));
      const whole = JSON.parse(readFileSync(join(folder, "openai/clip-tiny-patch14-56/config.json"), "utf8"));
      cpSync(join(folder, "openai/clip-tiny-patch14-56/preprocessor_config.json"), join(folder, "preprocessor_config.json"));
      for (const file of [...shards, "openai"]) rmSync(join(folder, file), { recursive: true });
      const text_config = { ...config, model_type: "llama", architectures: undefined };
      const tiny = {
        model_type: "tinyllava",
        architectures: ["TinyLlavaForConditionalGeneration"],
        connector_type: "mlp2x_gelu",
        vision_model_name_or_path: "openai/clip-tiny-patch14-56",
        image_aspect_ratio: "pad",
        vision_hidden_size: 32,
      };
      writeFileSync(
        join(folder, "config.json"),
        JSON.stringify({ ...tiny, text_config, vision_config: { ...whole.vision_config, model_type: "clip_vision_model" } }),
      );
      const named = (name: string) =>
        name.startsWith("model.mm_projector.") ? name.replace("model.mm_projector.", "connector._connector.") : `language_model.${name}`;
      await writeSafetensors(join(folder, "model.safetensors"), [
        ...Array.from(tensors.values(), (tensor) => ({ ...tensor, name: named(tensor.name) })),
        ...[...clip.tensors.values()].flatMap((tensor) =>
          tensor.name.startsWith("vision_model.") ? [{ ...tensor, name: `vision_tower._vision_tower.${tensor.name}` }] : [],
        ),
      ]);
    });
    await answersAll(folder, first(), { from: original }, sixteen);
    using model = await load(folder, asTheAuthors); // its own template is vicuna_v1
    const [one] = first(1);
    const result = await model.chat([{ role: "user", content: [image(join(original, "scene.png")), "What is shown in this picture?"] }], {
      max_new_tokens: 24,
    }).result;
    expect(result.tokenIds).toEqual(one?.tokenIds);
  });
});

test("<im_start> and <im_end> stand around the pictures of messages, and of prompt texts where they are written", async () => {
  const folder = await variant(original, async (folder) => {
    edit("config.json", { mm_use_im_start_end: true, vocab_size: 1002 })(folder);
    writeFileSync(join(folder, "added_tokens.json"), JSON.stringify({ "<im_start>": 1000, "<im_end>": 1001 }));
    const { tensors } = await openCheckpoint(original);
    const larger = [...tensors.values()].map((tensor) => {
      if (!/^(model\.embed_tokens|lm_head)\.weight$/.test(tensor.name)) return tensor;
      const more = new Uint8Array(new Float32Array(2 * 64).map((_, i) => Math.sin(i)).buffer); // two more rows
      const read = async () => new Uint8Array(Buffer.concat([await tensor.read(), more]));
      return { name: tensor.name, dtype: tensor.dtype, shape: [1002, 64], read };
    });
    for (const file of shards) rmSync(join(folder, file));
    await writeSafetensors(join(folder, "model.safetensors"), larger);
  });
  using model = await load(folder, { prompt: llavaV0 });
  const options = { max_new_tokens: 8 };
  const seen = image(join(original, "scene.png"));
  const { tokenIds, usage } = await model.chat([{ role: "user", content: [seen, "What is it?"] }], options).result;
  const written = llavaV0.render([{ role: "user", content: "<im_start><image><im_end>\nWhat is it?" }]);
  expect(await model.generate(written, { ...options, images: [seen] })).toMatchObject({ tokenIds, usage });
  const bare = await model.generate(written.replace(/<im_(start|end)>/g, ""), { ...options, images: [seen] });
  expect(bare.usage.promptTokens).toBeLessThan(usage.promptTokens);
});

async function failure(folder: string, options?: LoadOptions): Promise<Error & { code?: string; problems?: unknown }> {
  const model = await load(folder, options).catch((error: unknown) => error);
  if (model instanceof Error) return model;
  (model as MultimodalModel).dispose();
  throw new Error("it loaded");
}

describe("what cannot be loaded", () => {
  test("an adapter for another base: one error that lists all that does not fit", async () => {
    const error = await failure(join(original, "lora"), { base: join(golden, "llava-tiny-anyres") });
    expect(error).toMatchObject({ name: "AdapterError", code: "adapter" });
    expect(error.message).toContain("was trained over another base than");
    expect(error.message).toContain("nothing was loaded");
    expect(error.message).toContain("model.layers.2.self_attn.q_proj.weight is not in the base.");
    expect(error.message).toMatch(/model\.layers\.0\.mlp\.up_proj\.weight is \[96, 64\] in the base, the adapter's is for \[112, 64\]\./);
  });

  test("a projector or an adapter without a base, and a base for a whole model", async () => {
    expect((await failure(join(original, "stage1-projector"))).message).toContain(
      "base: the folder holds a projector without a language model: pass `base`",
    );
    const nameless = await variant(join(original, "lora"), edit("adapter_config.json", { base_model_name_or_path: null }));
    expect((await failure(nameless)).message).toContain("base: the folder holds a LoRA adapter that does not name its base: pass `base`");
    const elsewhere = await variant(join(original, "lora"), edit("adapter_config.json", { base_model_name_or_path: "/data/vicuna" }));
    expect(await failure(elsewhere, { offline: true })).toMatchObject({
      name: "HubError",
      message: expect.stringMatching(
        /names a base that cannot be opened\. \/data\/vicuna: .* Or pass `base`, where that model is\.$/,
      ) as string,
    });
    expect((await failure(original, { base: original })).message).toMatch(/so it needs no base\.$/);
    const run = mkdtempSync(join(temporary, "run-"));
    mkdirSync(join(run, "adapter"));
    expect((await failure(run, { base: original })).message).toContain(`What a run of waggle train learnt is in ${join(run, "adapter")}.`);
  });

  test.each([
    ["another projector than the weights hold", { mm_projector_type: "mlp3x_gelu" }, /missing\s+multi_modal_projector\.linear_3\.weight/],
    ["a linear projector, but two layers in the file", { mm_projector_type: undefined }, /unexpected\s+model\.mm_projector\.2\.weight/],
    [
      "a projector nobody published",
      { mm_projector_type: "mlp2x_relu" },
      'mm_projector_type: "mlp2x_relu" is not supported. Supported: linear, mlp{N}x_gelu with N up to 64, identity.',
    ],
    ["identity between different widths", { mm_projector_type: "identity" }, "expected 64, the width of the language model, got 32"],
    ["no vision encoder", { mm_vision_tower: undefined }, "mm_vision_tower: is missing"],
    ["another width", { mm_hidden_size: 1024 }, "mm_hidden_size: is 1024, but the vision encoder's features are 32 wide."],
    ["anyres without a grid", { image_aspect_ratio: "anyres" }, "image_grid_pinpoints: is missing"],
    ["a mode that is not supported", { image_aspect_ratio: "anyres_max_9" }, 'image_aspect_ratio: "anyres_max_9" is not supported.'],
    [
      "marks that the tokenizer does not know",
      { mm_use_im_start_end: true },
      "mm_use_im_start_end: is true, but the tokenizer has no <im_start> and no <im_end>",
    ],
    ["S2", { s2: true }, "s2: S2, an encoder that looks at several scales, is not supported."],
  ])("%s", async (_, change, message) => {
    expect((await failure(await variant(original, edit("config.json", change)))).message).toMatch(message);
  });

  test("several mistakes are one error", async () => {
    const error = await failure(await variant(original, edit("config.json", { mm_vision_tower: undefined, image_aspect_ratio: "anyres" })));
    expect(error.problems).toHaveLength(2);
  });
});
