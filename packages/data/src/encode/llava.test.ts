import { readFileSync } from "node:fs";
import { copyFile, mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { image } from "@waggle/image";
import {
  chatml,
  llavaLlama2,
  llavaMpt,
  llavaPlain,
  llavaV1Tagged,
  loadTokenizer,
  type PromptTemplate,
  type Tokenizer,
  vicunaV0,
  vicunaV1,
} from "@waggle/text";
import { describe, expect, test } from "vitest";
import { openConversations } from "../conversations.ts";
import { IGNORE, type Sample, type Turn } from "../sample.ts";
import { encodingOf, llavaEncoder, placePictures } from "./llava.ts";

const golden = (name: string): string => fileURLToPath(new URL(`../../../../golden/${name}`, import.meta.url));
const read = <T>(name: string): T => JSON.parse(readFileSync(golden(name), "utf8")) as T;

const TEMPLATES: Readonly<Record<string, PromptTemplate>> = {
  v0: vicunaV0,
  v1: vicunaV1,
  v1_mmtag: llavaV1Tagged,
  llava_llama_2: llavaLlama2,
  mpt: llavaMpt,
  plain: llavaPlain,
  v0_plain: llavaPlain,
};

interface Row {
  readonly id: string;
  readonly input_ids: readonly number[];
  readonly label_spans: readonly (readonly [number, number])[];
  readonly image: string | null;
}

interface Run {
  readonly file: string;
  readonly version: string;
  readonly is_multimodal: boolean;
  readonly mm_use_im_start_end: boolean;
  readonly legacy: boolean;
  readonly model_max_length: number;
  readonly added_token_ids: Readonly<Record<string, number>>;
  readonly rows: readonly Row[];
}

interface Expected {
  readonly runs: readonly Run[];
  readonly collate: readonly {
    readonly run: number;
    readonly rows: readonly number[];
    readonly model_max_length: number;
    readonly input_ids: readonly (readonly number[])[];
    readonly labels: readonly (readonly number[])[];
    readonly attention_mask: readonly (readonly number[])[];
  }[];
  readonly preprocess_multimodal: readonly {
    readonly version: string;
    readonly mm_use_im_start_end: boolean;
    readonly in: string;
    readonly out: string;
  }[];
}

const expected = read<Expected>("data-llava/expected.json");

async function tokenizerOf({ legacy, added_token_ids }: Pick<Run, "legacy" | "added_token_ids">): Promise<Tokenizer> {
  const folder = await mkdtemp(join(tmpdir(), "waggle-data-"));
  for (const name of ["tokenizer.model", "tokenizer_config.json", "special_tokens_map.json"]) {
    await copyFile(golden(`llava-tiny-original/${name}`), join(folder, name));
  }
  await writeFile(join(folder, "added_tokens.json"), JSON.stringify(added_token_ids));
  return loadTokenizer(folder, { files: "sentencepiece", legacy });
}

function templateOf(version: string): PromptTemplate {
  const template = TEMPLATES[version];
  if (template === undefined) throw new Error(`no template ${version}`);
  return template;
}

/** The ids as the official data set has them: one per picture, uncut where there is one. */
async function officialRows(run: Run): Promise<(sample: Sample) => ReturnType<ReturnType<typeof encodingOf>>> {
  const tokenizer = await tokenizerOf(run);
  const template = templateOf(run.version);
  const encode = encodingOf(tokenizer, template, run.model_max_length);
  return (sample) => {
    const options = { tokenizer, template, mm_use_im_start_end: run.mm_use_im_start_end, is_multimodal: run.is_multimodal };
    return encode({
      ...sample,
      conversations: sample.images.length > 0 ? placePictures(sample.conversations, options) : sample.conversations,
    });
  };
}

function labelsOf({ input_ids, label_spans }: Row): number[] {
  return input_ids.map((id, i) => (label_spans.some(([start, end]) => i >= start && i < end) ? id : IGNORE));
}

describe("LLaVA's data sets, row by row", () => {
  test.each(expected.runs.map((run, i) => [`${i}: ${run.version}, legacy ${run.legacy}, ${run.model_max_length}`, run] as const))(
    "%s",
    async (_, run) => {
      const encode = await officialRows(run);
      using dataset = await openConversations(golden(`data-llava/${run.file}`), { images: golden("data-llava/files/images") });
      expect(dataset.length).toBe(run.rows.length);
      for (const [i, row] of run.rows.entries()) {
        const sample = await dataset.sample(i);
        expect(sample.id).toBe(row.id);
        expect(sample.images.length > 0).toBe(row.image === "picture");
        const { input_ids, labels } = encode(sample);
        expect({ id: row.id, input_ids }).toEqual({ id: row.id, input_ids: row.input_ids });
        expect({ id: row.id, labels }).toEqual({ id: row.id, labels: labelsOf(row) });
      }
    },
  );
});

test("cut at model_max_length and padded on the right, a batch is what the official collator makes", async () => {
  for (const { run: at, rows, model_max_length, input_ids, labels, attention_mask } of expected.collate) {
    const run = expected.runs[at] as Run;
    const [tokenizer, template] = [await tokenizerOf(run), templateOf(run.version)];
    const { mm_use_im_start_end, is_multimodal } = run;
    using dataset = await openConversations(golden(`data-llava/${run.file}`));
    const encoder = llavaEncoder({ tokenizer, template, model_max_length, mm_use_im_start_end, is_multimodal });
    for (const [i, row] of rows.entries()) {
      const sample = await dataset.sample(row);
      const encoded = encoder.encode(
        sample,
        sample.images.map(() => 1),
      );
      const length = attention_mask[i]?.reduce((sum, bit) => sum + bit, 0);
      expect(encoded.input_ids).toEqual(input_ids[i]?.slice(0, length));
      expect(encoded.labels).toEqual(labels[i]?.slice(0, length));
    }
  }
});

test("pictures stand where preprocess_multimodal puts them", async () => {
  const tokenizer = await tokenizerOf({ legacy: true, added_token_ids: {} });
  for (const { version, mm_use_im_start_end, in: value, out } of expected.preprocess_multimodal) {
    const turns = placePictures([{ from: "human", value }], { tokenizer, template: templateOf(version), mm_use_im_start_end });
    expect([version, turns[0]?.value]).toEqual([version, out]);
  }
});

interface LabelCase {
  readonly version: string;
  readonly legacy: boolean;
  readonly conversations: readonly Turn[];
  readonly hasImage: boolean;
  readonly ids: readonly number[];
  readonly labels: readonly number[];
  readonly allMasked: boolean;
}

test("labels of single conversations, in both tokenizer modes", async () => {
  const { labels } = read<{ readonly labels: { readonly rows: readonly LabelCase[] } }>("llava-tiny-original/expected.json");
  expect(labels.rows.length).toBeGreaterThan(10);
  for (const { version, legacy, conversations, hasImage, ids, labels: expectedLabels } of labels.rows) {
    const tokenizer = await tokenizerOf({ legacy, added_token_ids: {} });
    const encoder = llavaEncoder({ tokenizer, template: templateOf(version) });
    const encoded = encoder.encode({ id: "", images: hasImage ? [image("picture.png")] : [], conversations }, hasImage ? [1] : []);
    expect({ version, legacy, ...encoded }).toEqual({ version, legacy, input_ids: ids, labels: expectedLabels });
  }
});

describe("what cannot be encoded", () => {
  const human = (value: string): Turn => ({ from: "human", value });
  const gpt = (value: string): Turn => ({ from: "gpt", value });
  const shown = (...conversations: readonly Turn[]): Sample => ({ id: "s", images: [image("picture.png")], conversations });
  const encoderOf = async (template: PromptTemplate, model_max_length = 2048) =>
    llavaEncoder({ tokenizer: await tokenizerOf({ legacy: true, added_token_ids: {} }), template, model_max_length });

  test("a picture that the conversation does not show, or shows twice", async () => {
    const encoder = await encoderOf(vicunaV1);
    expect(() => encoder.encode(shown(human("What?"), gpt("A cat.")), [4])).toThrowErrorMatchingInlineSnapshot(
      `[DataError: the conversation shows 0 pictures, the sample has 1. LLaVA shows one picture in front of a turn, however many <image> stand in it. Give each a turn of its own, with one.]`,
    );
    const two: Sample = { ...shown(human("<image>\n<image>\nWhich?"), gpt("A cat.")), images: [image("a.png"), image("b.png")] };
    expect(() => encoder.encode(two, [4, 4])).toThrow(/shows 1 pictures, the sample has 2\. LLaVA shows one picture in front of a turn/);
    expect(() => encoder.encode(shown(human("<image>\nWhat?"), gpt("A cat."), human("<image>?"), gpt("Yes.")), [4])).toThrow(
      "shows 2 pictures",
    );
  });

  test("visual tokens behind the end", async () => {
    const sample = shown(human("<image>\nWhat?"), gpt("A cat."));
    expect((await encoderOf(vicunaV1, 120)).encode(sample, [60]).input_ids.filter((id) => id === -200)).toHaveLength(60);
    const encoder = await encoderOf(vicunaV1, 60);
    expect(() => encoder.encode(sample, [60])).toThrowErrorMatchingInlineSnapshot(
      `[DataError: the last visual token stands at 92, behind maxLength 60. Use a longer maxLength, or fewer visual tokens.]`,
    );
  });

  test("turns out of turn; a caption with a third turn", async () => {
    const encoder = await encoderOf(vicunaV1);
    expect(() => encoder.encode(shown(human("<image>"), human("b"), gpt("c")), [1])).toThrow("message 1 is the user's");
    const captions = await encoderOf(llavaPlain);
    expect(() => captions.encode(shown(human("What?"), gpt("a"), human("b")), [1])).toThrowErrorMatchingInlineSnapshot(
      `[DataError: the plain template takes two turns, <image> in the first; found 3 turns, the first without <image>.]`,
    );
  });

  test("a template LLaVA was not trained with, tokens that the tokenizer lacks, options that nobody reads: all at once", async () => {
    const tokenizer = await tokenizerOf({ legacy: true, added_token_ids: {} });
    expect(() => llavaEncoder({ tokenizer, template: chatml })).toThrowErrorMatchingInlineSnapshot(
      `[DataError: llavaEncoder: template: expected one of vicunaV1, llavaV1, llavaV1Tagged, llavaLlama2, llama2, llavaMpt, llavaPlain, vicunaV0, llavaV0, llavaV0Tagged of @waggle/text. chatEncoder takes any template.]`,
    );
    const options = { tokenizer, template: vicunaV1, mm_use_im_start_end: true, model_max_length: 0, max_length: 5 };
    expect(() => llavaEncoder(options)).toThrowErrorMatchingInlineSnapshot(`
      [DataError: llavaEncoder: max_length: is not an option. There are: tokenizer, template, model_max_length, mm_use_im_start_end, is_multimodal.
        model_max_length: expected a whole number from 1, got 0.
        mm_use_im_start_end: the tokenizer has no token <im_start>, <im_end>; list them in added_tokens.json.]
    `);
  });
});
