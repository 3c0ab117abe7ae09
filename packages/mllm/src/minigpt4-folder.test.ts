/** Folders that differ from golden/minigpt4-tiny: published names, sizes, the variant for Llama 2, and broken ones. */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { WeightCache } from "@waggle/checkpoint";
import { Runtime } from "@waggle/runtime";
import { miniGpt4Llama2 } from "@waggle/text";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { compileConverted } from "../../../testing/multimodal.ts";
import { expectClose, float32, floats, need, readTensors } from "../../../testing/tensors.ts";
import { image, inspect, load, type Message } from "./index.ts";
import { miniGpt4Assembly, miniGpt4Composition } from "./minigpt4.ts";
import { isMiniGpt4 } from "./minigpt4-folder.ts";
import { openMiniGpt4Files } from "./minigpt4-parts.ts";

const golden = fileURLToPath(new URL("../../../golden/minigpt4-tiny/", import.meta.url));
const { main_other_picture: run } = JSON.parse(readFileSync(join(golden, "expected.json"), "utf8")).runs;
const question: Message[] = [{ role: "user", content: [image(join(golden, run.pictures[0])), run.question] }];

let temporary: string;
beforeAll(() => {
  temporary = mkdtempSync(join(tmpdir(), "waggle-minigpt4-"));
});
afterAll(() => rmSync(temporary, { recursive: true }));

let count = 0;
function variant(change: (folder: string) => void): string {
  const folder = join(temporary, `folder-${count++}`);
  cpSync(golden, folder, { recursive: true, filter: (path) => !/(expected\.json|io\.safetensors|\.png)$/.test(path) });
  change(folder);
  return folder;
}

function editDims(folder: string, change: (dims: { vit: Record<string, unknown>; qformer: Record<string, unknown> }) => void): void {
  const dims = JSON.parse(readFileSync(join(folder, "dims.json"), "utf8"));
  change(dims);
  writeFileSync(join(folder, "dims.json"), JSON.stringify(dims));
}

async function failure(folder: string): Promise<Error> {
  return load(folder).then(
    (model) => {
      model.dispose();
      return new Error("it loaded");
    },
    (error: Error) => error,
  );
}

describe("other names", () => {
  test.each([
    ["13B's projector", (folder: string) => rename(folder, "prerained_minigpt4_7b.pth", "pretrained_minigpt4.pth")],
    ["a projector of one's own", (folder: string) => rename(folder, "prerained_minigpt4_7b.pth", "checkpoint_4.pth")],
    [
      "a published projector beside another file",
      (folder: string) => cpSync(join(folder, "prerained_minigpt4_7b.pth"), join(folder, "checkpoint_4.pth")),
    ],
    ["a folder called vicuna", (folder: string) => rename(folder, "llm", "vicuna-7b-v0")],
    ["another BLIP-2", (folder: string) => rename(folder, "blip2_pretrained_flant5xxl.pth", "blip2_pretrained_opt2.7b.pth")],
  ])("%s", async (_, change) => {
    using model = await load(variant(change), { weightCache: new WeightCache({ folder: temporary }), threads: 1 });
    expect((await model.generate(question, run.options)).tokenIds).toEqual(run.tokens);
  });
});

function rename(folder: string, from: string, to: string): void {
  renameSync(join(folder, from), join(folder, to));
}

describe("what is wrong with a folder is one error", () => {
  test("files that are missing", async () => {
    const folder = variant((at) => {
      for (const name of ["eva_vit_g.pth", "llm"]) rmSync(join(at, name), { recursive: true });
    });
    const error = await failure(folder);
    expect(error).toMatchObject({ name: "ConfigError", code: "config" });
    expect(error.message.replaceAll(folder, "FOLDER")).toMatchInlineSnapshot(`
      "FOLDER: eva_vit_g.pth: is missing: the vision encoder, which LAVIS publishes.
        llm/: is missing: the folder of the language model, with its config.json."
    `);
    const withoutQFormer = await failure(variant((at) => rmSync(join(at, "blip2_pretrained_flant5xxl.pth"))));
    expect(withoutQFormer.message).toMatch(/blip2_pretrained_flant5xxl\.pth: is missing: the Q-Former.*160 inputs.*this has 48/);
  });

  test("two of a kind", async () => {
    const folder = variant((at) => {
      rename(at, "llm", "one");
      cpSync(join(at, "one"), join(at, "two"), { recursive: true });
      cpSync(join(at, "prerained_minigpt4_7b.pth"), join(at, "pretrained_minigpt4.pth"));
    });
    expect((await failure(folder)).message.replaceAll(folder, "FOLDER")).toMatchInlineSnapshot(`
      "FOLDER: prerained_minigpt4_7b.pth: expected one file or folder, got prerained_minigpt4_7b.pth, pretrained_minigpt4.pth: llama_proj, which MiniGPT-4 publishes (13B: pretrained_minigpt4.pth).
        llm/: expected one file or folder, got one, two: the folder of the language model, with its config.json."
    `);
  });

  test("sizes that the files do not have, with the file that holds the key", async () => {
    const deeper = variant((at) => editDims(at, ({ vit }) => Object.assign(vit, { depth: 5 })));
    const error = await failure(deeper);
    expect(error).toMatchObject({ code: "state_dict" });
    expect(error.message).toMatch(/missing +vision_tower\.visual_encoder\.blocks\.4\./);
    const shallow = variant((at) => editDims(at, ({ qformer }) => Object.assign(qformer, { num_hidden_layers: 2 })));
    expect((await failure(shallow)).message).toMatch(
      /unexpected +blip2_pretrained_flant5xxl\.pth: model\.Qformer\.bert\.encoder\.layer\.[23]/,
    );
    const official = variant((at) => rmSync(join(at, "dims.json")));
    expect((await failure(official)).message).toMatch(/623 missing, 146 mismatched/);
  });

  test("dims.json", async () => {
    const folder = variant((at) =>
      editDims(at, ({ vit, qformer }) => [Object.assign(vit, { depth: "3" }), Object.assign(qformer, { hidden_act: "relu" })]),
    );
    expect((await failure(folder)).message.replaceAll(folder, "FOLDER")).toMatchInlineSnapshot(`
      "FOLDER/dims.json: vit.depth: Invalid input: expected number, received string
        qformer.hidden_act: expected gelu, the only one that a Q-Former was published with."
    `);
    const heads = variant((at) => editDims(at, ({ vit }) => Object.assign(vit, { num_heads: 7 })));
    expect((await failure(heads)).message).toMatch(/num_attention_heads: expected a divisor of hidden_size 40, got 7/);
  });

  test("a language model that is none", async () => {
    const folder = variant((at) => writeFileSync(join(at, "llm", "config.json"), JSON.stringify({ model_type: "llava" })));
    expect((await failure(folder)).message).toMatch(/llm\/config\.json: model_type: expected a language model alone, got llava/);
  });

  test("a folder with a config.json is what that says", async () => {
    const folder = variant((at) => writeFileSync(join(at, "config.json"), JSON.stringify({ model_type: "unheard-of" })));
    expect(await isMiniGpt4(folder)).toBe(false);
    expect((await failure(folder)).message).toMatch(/unheard-of is not supported/);
    const empty = join(temporary, "empty");
    mkdirSync(empty);
    expect(await isMiniGpt4(empty)).toBe(false);
    expect(await isMiniGpt4(join(temporary, "nowhere"))).toBe(false);
  });
});

test("pictures of another size: the table of positions is resized", async () => {
  const folder = variant((at) => editDims(at, ({ vit }) => Object.assign(vit, { image_size: 84 })));
  const { parts, tokensPerImage } = await inspect(folder);
  expect(parts[0]?.sizes).toEqual({ hidden_size: 40, image_height: 84, image_width: 84, patches: 37 });
  expect(tokensPerImage).toBe(8);
  using model = await load(folder, { weightCache: new WeightCache({ folder: temporary }), threads: 1 });
  expect((await model.generate(question, run.options)).usage.imageTokens).toBe(8);
});

describe("the variant for Llama 2", () => {
  /** No Q-Former: four patches to a token, ln_vision as it is made. */
  const llama2 = (alsoBlip2: boolean) =>
    variant((at) => {
      for (const name of ["prerained_minigpt4_7b.pth", ...(alsoBlip2 ? [] : ["blip2_pretrained_flant5xxl.pth"])]) rmSync(join(at, name));
      cpSync(new URL("__vectors__/minigpt4-llama2.pth", import.meta.url), join(at, "pretrained_minigpt4_llama2_7b.pth"));
    });

  test.each([true, false])("sees what the authors' code does; a BLIP-2 file in the folder (%s) is not read", async (alsoBlip2) => {
    const folder = llama2(alsoBlip2);
    const composition = miniGpt4Composition(await openMiniGpt4Files(folder, {}));
    using runtime = new Runtime({ threads: 1 });
    const see = await compileConverted(runtime, composition.visionGraph(), temporary);
    const { features } = await see({ pixel_values: need(await readTensors(join(golden, "io.safetensors")), "input.pixel_values") });
    const { "output.projected": projected } = await readTensors(new URL("__vectors__/minigpt4-llama2.safetensors", import.meta.url));
    expectClose(features, float32(floats(projected), [3 * 4, 64]), { abs: 1e-4, rel: 1e-4 });
  });

  test("speaks with Llama 2's template, and stops at its end token", async () => {
    const assembly = await miniGpt4Assembly(await openMiniGpt4Files(llama2(false), {}), {}, 0);
    expect(assembly.template).toBe(miniGpt4Llama2);
    expect(assembly.sight?.dialect?.conversation).toEqual({ max_new_tokens: 300, repetition_penalty: 1.05, top_p: 0.9 });
    expect(assembly.sight?.tokensPerImage).toBe(4);
    using model = await load(llama2(false), { weightCache: new WeightCache({ folder: temporary }), threads: 1 });
    const { usage } = await model.generate(question, { max_new_tokens: 3 });
    expect(usage.imageTokens).toBe(4);
  });
});
