import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { image } from "@waggle/image";
import { honeybeePromptIds, loadTokenizer, type Tokenizer } from "@waggle/text";
import { beforeAll, describe, expect, test } from "vitest";
import { openConversations } from "../conversations.ts";
import { IGNORE, IMAGE, type Sample } from "../sample.ts";
import { honeybeeEncoder, honeybeeText } from "./honeybee.ts";

const golden = (name: string): string => fileURLToPath(new URL(`../../../../golden/${name}`, import.meta.url));

interface Text {
  readonly text: string;
  readonly input_ids?: readonly number[];
  readonly label_spans?: readonly (readonly [number, number])[];
}

interface Expected {
  readonly datasets: Readonly<
    Record<string, { readonly variants: readonly { readonly items: readonly { readonly texts: readonly Text[] }[] }[] }>
  >;
  readonly captions: Readonly<Record<string, { readonly samples: readonly Text[] }>>;
  readonly truncation: readonly (Text & {
    readonly cut: readonly {
      readonly max_length: number;
      readonly length: number;
      readonly label_spans: readonly (readonly [number, number])[];
    }[];
  })[];
}

const expected = JSON.parse(readFileSync(golden("data-honeybee/expected.json"), "utf8")) as Expected;
const VISUAL_TOKENS = 9;

let tokenizer: Tokenizer;
beforeAll(async () => {
  tokenizer = await loadTokenizer(golden("honeybee-tiny-c-abs"), { files: "sentencepiece" });
});

function labelsOf(ids: readonly number[], spans: Text["label_spans"]): number[] {
  return ids.map((id, i) => (spans?.some(([start, end]) => i >= start && i < end) ? id : IGNORE));
}

function encoded(text: string, maxLength: number): { readonly ids: readonly number[]; readonly labels: readonly number[] } {
  const pictures = text.startsWith("[NO_PROMPT]") ? 1 : text.split("<image>").length - 1;
  const imageTokens = Array.from({ length: pictures }, () => VISUAL_TOKENS);
  return honeybeePromptIds(tokenizer, text, { imageTokens, endOfText: true, maxLength });
}

describe("texts as ids and labels", () => {
  test.each(Object.entries(expected.datasets))("%s", (_, { variants }) => {
    const texts = variants.flatMap(({ items }) => items.flatMap((item) => item.texts)).filter(({ input_ids }) => input_ids !== undefined);
    expect(texts.length).toBeGreaterThan(0);
    for (const { text, input_ids = [], label_spans } of texts) {
      expect({ text, ...encoded(text, 1023) }).toEqual({ text, ids: input_ids, labels: labelsOf(input_ids, label_spans) });
    }
  });

  test.each(Object.entries(expected.captions))("captions of %s", (_, { samples }) => {
    for (const { text, input_ids = [], label_spans } of samples) {
      expect({ text, ...encoded(text, Infinity) }).toEqual({ text, ids: input_ids, labels: labelsOf(input_ids, label_spans) });
    }
  });

  test("cut: a picture of a conversation whole or not at all, captions anywhere", () => {
    for (const { text, input_ids = [], cut } of expected.truncation) {
      for (const { max_length, length, label_spans } of cut) {
        const ids = input_ids.slice(0, length);
        expect({ max_length, ...encoded(text, max_length) }).toEqual({ max_length, ids, labels: labelsOf(ids, label_spans) });
      }
    }
  });
});

describe("LLaVA's and ShareGPT's files", () => {
  const textsOf = (name: string, variant: number): string[] =>
    (expected.datasets[name]?.variants[variant]?.items ?? []).flatMap(({ texts }) => texts.map(({ text }) => text));

  test.each([
    [true, 0],
    [false, 1],
  ])("llava_instruct_150k, as_instruct %s", async (as_instruct, variant) => {
    const texts: string[] = [];
    for (const name of ["complex_reasoning_77k", "conversation_58k", "detail_23k"]) {
      using dataset = await openConversations(golden(`data-honeybee/files/llava_instruct_150k/${name}.json`));
      for (let i = 0; i < dataset.length; i++) texts.push(honeybeeText(await dataset.sample(i), as_instruct));
    }
    expect(texts).toEqual(textsOf("llava150k", variant));
  });

  test("llava_v1_5_sharegpt40k", async () => {
    using dataset = await openConversations(golden("data-honeybee/files/Vicuna/llava_v1_5_sharegpt40k.json"));
    const texts = textsOf("vicuna40k", 0);
    for (const i of [0, 1, 3]) expect(honeybeeText(await dataset.sample(i), true)).toBe(texts[i]);
    // Row 2 has a turn from "user", which LLaVA's format does not know.
    expect(() => dataset.sample(2)).toThrow('conversations[2]: expected { "from": "human" | "gpt", "value": text }');
  });
});

const sample: Sample = {
  id: "s",
  images: [image("picture.png")],
  conversations: [
    { from: "human", value: "<image>\nWhat?" },
    { from: "gpt", value: "A bee." },
  ],
};

test("a sample's picture takes its visual tokens; a bare <image> asks for a caption", () => {
  const encoder = honeybeeEncoder({ tokenizer });
  const { ids, labels } = honeybeePromptIds(tokenizer, honeybeeText(sample, true), {
    imageTokens: [4],
    imageTokenId: IMAGE,
    endOfText: true,
  });
  expect(encoder.encode(sample, [4])).toEqual({ input_ids: ids, labels });
  expect(ids.filter((id) => id === IMAGE)).toHaveLength(4);
  const caption = encoder.encode(
    { ...sample, conversations: [{ from: "human", value: "<image>" }, sample.conversations[1] ?? { from: "gpt", value: "" }] },
    [4],
  );
  expect(caption.input_ids.slice(0, 5)).toEqual([1, IMAGE, IMAGE, IMAGE, IMAGE]);
  expect(caption.labels.slice(5)).toEqual(caption.input_ids.slice(5));
});

test("pictures that the conversation does not show; a caption without an answer; misspelt options", () => {
  const encoder = honeybeeEncoder({ tokenizer });
  expect(() =>
    encoder.encode(
      {
        ...sample,
        conversations: [
          { from: "human", value: "What?" },
          { from: "gpt", value: "A." },
        ],
      },
      [4],
    ),
  ).toThrow("shows 0 pictures");
  expect(() => honeybeeEncoder({ tokenizer, as_instruct: false }).encode({ ...sample, conversations: [] }, [4])).toThrow(
    "found 1 pictures and 0 turns",
  );
  const misspelt = { tokenizer, maxLength: 5 };
  expect(() => honeybeeEncoder(misspelt)).toThrow("maxLength: is not an option");
});
