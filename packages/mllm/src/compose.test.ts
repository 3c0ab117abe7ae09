import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openCheckpoint, openSafetensors } from "@waggle/checkpoint";
import { type LanguageModel, llama, tinyLlama, vicuna7b, vicuna13b } from "@waggle/language";
import { ConfigError } from "@waggle/nn";
import { cAbstractor, linear, mlp, type Projector } from "@waggle/projectors";
import { Runtime } from "@waggle/runtime";
import { llavaHf, vicunaV1 } from "@waggle/text";
import { clip, type VisionEncoder, vitB16, vitL14, vitL14_336 } from "@waggle/vision";
import { Tensor } from "onnxruntime-common";
import { describe, expect, test } from "vitest";
import { compose, image } from "./index.ts";

const llava = fileURLToPath(new URL("../../../golden/llava-tiny-hf", import.meta.url));
const json = (name: string) => JSON.parse(readFileSync(join(llava, name), "utf8"));
const small = { num_hidden_layers: 1 } as const; // widths are what is tested here
const vision = () => clip({ ...vitL14_336, ...small }, { layer: -1 });
const language = () => llama({ ...vicuna7b, ...small });
const grid = { rows: 24, columns: 24 };

describe("widths that are literals", () => {
  test("fit, with a factory or a projector that is built", () => {
    expect(compose({ vision: vision(), projector: mlp(), language: language(), prompt: vicunaV1 }).tokensPerImage).toBe(576);
    const projector = linear()(1024, 4096, grid);
    expect(compose({ vision: vision(), projector, language: language(), prompt: vicunaV1 }).tokensPerImage).toBe(576);
  });

  test("that do not fit do not compile, and do not run", () => {
    const narrow = linear()(768, 4096, grid);
    // @ts-expect-error the vision encoder's features are 1024 wide, the projector takes 768
    expect(() => compose({ vision: vision(), projector: narrow, language: language(), prompt: vicunaV1 })).toThrow(ConfigError);
    const wide = linear()(1024, 5120, grid);
    // @ts-expect-error the projector's tokens are 5120 wide, the language model takes 4096
    expect(() => compose({ vision: vision(), projector: wide, language: language(), prompt: vicunaV1 })).toThrow(ConfigError);
    const other = llama({ ...vicuna13b, ...small });
    // @ts-expect-error the projector's tokens are 4096 wide, the language model takes 5120
    expect(() => compose({ vision: vision(), projector: linear()(1024, 4096, grid), language: other, prompt: vicunaV1 })).toThrow(
      ConfigError,
    );
    const base = clip({ ...vitB16, ...small }, { layer: -1 });
    // @ts-expect-error the vision encoder's features are 768 wide, the projector takes 1024
    expect(() => compose({ vision: base, projector: linear()(1024, 4096, grid), language: language(), prompt: vicunaV1 })).toThrow(
      ConfigError,
    );
  });

  test("a part that is missing or unknown does not compile either", () => {
    // @ts-expect-error no prompt template
    expect(compose({ vision: vision(), projector: mlp(), language: language() })).toBeDefined();
    // @ts-expect-error no such part
    expect(() => compose({ vision: vision(), projector: mlp(), language: language(), prompt: vicunaV1, decoder: 1 })).toThrow(
      "decoder: is not an option",
    );
  });
});

describe("widths that come from files", () => {
  test("compile, and are checked when they are known: one error for both sides", () => {
    const encoder: VisionEncoder = clip({ ...vitL14, ...small } as object, { layer: -1 });
    const projector: Projector = linear()(768 as number, 5120 as number, grid);
    const model: LanguageModel = llama({ ...tinyLlama, ...small } as object);
    expect(() => compose({ vision: encoder, projector, language: model, prompt: vicunaV1 })).toThrowErrorMatchingInlineSnapshot(`
      [ConfigError: compose: projector.vision_hidden_size: expected 1024, the width of the vision encoder, got 768.
        projector.text_hidden_size: expected 2048, the width of the language model, got 5120.]
    `);
    expect(compose({ vision: encoder, projector: linear()(1024, 2048, grid), language: model, prompt: vicunaV1 }).tokensPerImage).toBe(256);
  });
});

test("a projector that promises other tokens than it makes is refused before anything is loaded", () => {
  const projector = Object.assign(linear()(1024, 4096, grid), { tokenCount: (patches: number) => patches / 4 });
  expect(() => compose({ vision: vision(), projector, language: language(), prompt: vicunaV1 })).toThrowErrorMatchingInlineSnapshot(
    `[ConfigError: MlpProjector: tokenCount: it promises 144 tokens, but forward makes float32 [B, 576, 4096] of [B, 576, 1024].]`,
  );
});

interface Case {
  readonly name: string;
  readonly images: readonly string[];
  readonly prompt: string;
  readonly max_new_tokens: number;
  readonly tokenIds: readonly number[];
}
const { cases, tolerance }: { cases: readonly Case[]; tolerance: Record<"projector" | "logits", { abs: number; rel: number }> } =
  json("expected.json");

function byHand() {
  const config = json("config.json");
  return compose({
    vision: clip(config.vision_config, { layer: -2 }),
    projector: mlp({ depth: 2, act: "gelu" }),
    language: llama(config.text_config),
    prompt: llavaHf,
  });
}

describe("golden/llava-tiny-hf, composed by hand", () => {
  test("answers like the loaded one", async () => {
    using model = await byHand().load(llava);
    const [{ prompt, images, max_new_tokens, tokenIds } = cases[0] as Case] = cases;
    const answer = await model.generate(prompt, { images: images.map((name) => image(join(llava, name))), max_new_tokens });
    expect(answer.tokenIds).toEqual(tokenIds);
  });

  test("names a placeholder that the tokenizer has not", async () => {
    const config = json("config.json");
    const parts = {
      vision: clip(config.vision_config),
      projector: mlp(),
      language: llama(config.text_config),
      prompt: llavaHf,
      placeholder: "<picture>",
    };
    await expect(compose(parts).load(llava)).rejects.toThrow("the tokenizer has no token <picture>");
  });

  test("begins with a new projector between trained parts where it is told to, and only there", async () => {
    const config = json("config.json");
    const parts = { vision: clip(config.vision_config), language: llama(config.text_config), prompt: llavaHf };
    const composition = () => compose({ ...parts, projector: cAbstractor({ tokens: 9, hidden_size: 16, depth: 1 }) });
    await expect(composition().load(llava)).rejects.toThrow("multi_modal_projector");
    await expect(composition().load(llava, { initialize: ["vision" as "projector"] })).rejects.toThrow("expected projector, got vision");
    const ids = async (seed: number) => {
      using model = await composition().load(llava, { initialize: ["projector"], seed });
      const images = [image(join(llava, "scene.png"))];
      const { tokenIds, usage } = await model.generate("<image>\nWhat is it?", { images, max_new_tokens: 6 });
      expect(usage.imageTokens).toBe(9);
      return tokenIds;
    };
    const first = await ids(1);
    expect(await ids(1)).toEqual(first);
    expect(await ids(2)).not.toEqual(first);
  });

  test("its two graphs give the reference's visual tokens and logits, element by element", async () => {
    const composition = byHand();
    composition.bind(await openCheckpoint(llava));
    const { tensors } = await openSafetensors(join(llava, "io.safetensors"));
    const read = async (name: string): Promise<Tensor> => {
      const tensor = tensors.get(name);
      if (!tensor) throw new Error(`io.safetensors has no ${name}`);
      const { buffer } = (await tensor.read()).slice();
      return tensor.dtype === "int64"
        ? new Tensor("int64", new BigInt64Array(buffer), tensor.shape)
        : new Tensor("float32", new Float32Array(buffer), tensor.shape);
    };
    using runtime = new Runtime({ threads: 1 });
    const see = await runtime.compile(composition.visionGraph());
    const decode = await runtime.compile(composition.decoderGraph());
    const seen = new Map<string, Float32Array>();
    for (const picture of new Set(cases.flatMap(({ images }) => images))) {
      const { features } = await see.run({ pixel_values: await read(`input.pixel_values.${picture}`) });
      seen.set(picture, features?.data as Float32Array);
      expectClose(features?.data as Float32Array, (await read(`output.projector.${picture}`)).data as Float32Array, tolerance.projector);
    }
    for (const { name, images } of cases) {
      const ids = await read(`input.input_ids.${name}`);
      const [rows = 1, length = 0] = ids.dims;
      const pictures = images.length === 0 ? [new Float32Array(64)] : images.map((picture) => seen.get(picture) ?? new Float32Array());
      const features = Float32Array.from(pictures.flatMap((picture) => [...picture]));
      let next = 0n;
      const feature_rows = (ids.data as BigInt64Array).map((id) => (id === 1000n ? next++ : -1n));
      const past = Array.from({ length: 3 }, (_, i) => [
        [`past_key_values.${i}.key`, new Tensor("float32", new Float32Array(), [1, 2, 16, 0])],
        [`past_key_values.${i}.value`, new Tensor("float32", new Float32Array(), [1, 2, 0, 16])],
      ]);
      const { logits } = await decode.run(
        {
          input_ids: ids,
          features: new Tensor("float32", features, [features.length / 64, 64]),
          feature_rows: new Tensor("int64", feature_rows, [rows, length]),
          position_ids: new Tensor(
            "int64",
            BigInt64Array.from({ length }, (_, i) => BigInt(i)),
            [rows, length],
          ),
          past_lengths: new Tensor("int64", BigInt64Array.of(0n), [1]),
          ...Object.fromEntries(past.flat()),
        },
        { fetch: ["logits"] },
      );
      const expected = (await read(`output.logits.${name}`)).data as Float32Array;
      expectClose(logits?.data as Float32Array, expected.subarray(-1024), tolerance.logits);
    }
  });
});

function expectClose(actual: Float32Array, expected: Float32Array, { abs, rel }: { abs: number; rel: number }): void {
  expect(actual.length).toBe(expected.length);
  for (const [i, value] of expected.entries()) {
    const got = actual[i] ?? Number.NaN;
    if (!(Math.abs(got - value) <= abs + rel * Math.abs(value))) expect.fail(`element ${i}: expected ${value}, got ${got}`);
  }
}
