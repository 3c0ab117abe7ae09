import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { image } from "@waggle/image";
import { chatml, chatTemplate, llavaHf, loadTokenizer, type PromptTemplate, type Tokenizer, vicunaV1 } from "@waggle/text";
import { beforeAll, describe, expect, test } from "vitest";
import { IGNORE, IMAGE, type Sample } from "../sample.ts";
import { chatEncoder } from "./chat.ts";

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

interface Row {
  readonly template: string;
  readonly messages: readonly { readonly role: "user" | "assistant"; readonly content: string }[];
  readonly ids: readonly number[];
  readonly mask: readonly number[];
}

const vectors = JSON.parse(readFileSync(here("__vectors__/assistant-masks.json"), "utf8")) as {
  readonly templates: Readonly<Record<string, string>>;
  readonly rows: readonly Row[];
};

let tokenizer: Tokenizer;
beforeAll(async () => {
  tokenizer = await loadTokenizer(here("../../../../golden/llava-tiny-hf"));
});

function sampleOf(messages: Row["messages"]): Sample {
  const pictures = messages.filter(({ content }) => content.includes("<image>"));
  return {
    id: "row",
    images: pictures.map(() => image("picture.png")),
    conversations: messages.map(({ role, content }) => ({ from: role === "user" ? "human" : "gpt", value: content })),
  };
}

describe("targets are transformers' assistant_masks", () => {
  test.each(vectors.rows.map((row, i) => [`${row.template} ${i}`, row] as const))("%s", (_, row) => {
    const variables = { bos_token: "<s>", eos_token: "</s>" };
    const stop = row.template === "chatml" ? ["<|im_end|>"] : ["</s>"];
    const template = chatTemplate(vectors.templates[row.template] ?? "", { variables, stop });
    const sample = sampleOf(row.messages);
    const { input_ids, labels } = chatEncoder({ tokenizer, template }).encode(
      sample,
      sample.images.map(() => 1),
    );
    const picture = tokenizer.tokenId("<image>");
    const ids = row.ids.map((id) => (id === picture ? IMAGE : id)).slice(0, input_ids.length);
    expect(input_ids).toEqual(ids);
    expect(labels).toEqual(ids.map((id, i) => (row.mask[i] === 1 ? id : IGNORE)));
    expect(row.mask.slice(input_ids.length)).not.toContain(1); // behind the last answer there is nothing to learn
  });
});

/** The texts of the targets. */
function learnt(template: PromptTemplate, sample: Sample, tokens: readonly number[]): string[] {
  const { input_ids, labels } = chatEncoder({ tokenizer, template }).encode(sample, tokens);
  const runs: number[][] = [];
  for (const [i, label] of labels.entries()) {
    if (label === IGNORE) continue;
    expect(label).toBe(input_ids[i]);
    if (i > 0 && labels[i - 1] !== IGNORE) runs.at(-1)?.push(label);
    else runs.push([label]);
  }
  return runs.map((run) => tokenizer.decode(run).trim());
}

const talk: Sample = {
  id: "talk",
  images: [image("picture.png")],
  conversations: [
    { from: "gpt", value: "Nobody asked." },
    { from: "human", value: "<image>\nWhat is it?" },
    { from: "gpt", value: "A bee." },
    { from: "human", value: "Where?" },
    { from: "gpt", value: "On a flower." },
  ],
};

test("llava-hf's template ends no answer; the last one gets the end of text", () => {
  expect(learnt(llavaHf, talk, [3])).toEqual(["A bee.", "On a flower.</s>"]);
});

test("templates that end answers", () => {
  expect(learnt(vicunaV1, talk, [3])).toEqual(["A bee.</s>", "On a flower.</s>"]);
  expect(learnt(chatml, talk, [3])).toEqual(["A bee.<|im_end|>", "On a flower.<|im_end|>"]);
});

test("a picture takes as many places as it has visual tokens, in front of its turn's text", () => {
  const encoded = chatEncoder({ tokenizer, template: llavaHf }).encode(talk, [5]);
  expect(encoded.input_ids.filter((id) => id === IMAGE)).toHaveLength(5);
  expect(tokenizer.decode(encoded.input_ids.filter((id) => id !== IMAGE))).toContain("USER:  \nWhat is it? ASSISTANT:");
});

test("no answer; a template that rewrites what was said; options that nobody reads", () => {
  const question: Sample = { ...talk, conversations: talk.conversations.slice(1, 2) };
  expect(() => chatEncoder({ tokenizer, template: llavaHf }).encode(question, [1])).toThrow("no answer of the assistant's");
  const forgetful = chatTemplate("{{ messages[-1]['content'] }}{% if add_generation_prompt %}>{% endif %}");
  expect(() => chatEncoder({ tokenizer, template: forgetful }).encode({ ...talk, images: [] }, [])).toThrowErrorMatchingInlineSnapshot(
    `[DataError: chatEncoder: template: the template writes a conversation otherwise once more turns follow, so its answers cannot be told apart. Train on one answer per sample, or use another template.]`,
  );
  const options = { tokenizer, template: llavaHf, maxLength: 5 };
  expect(() => chatEncoder(options)).toThrow("maxLength: is not an option");
});
