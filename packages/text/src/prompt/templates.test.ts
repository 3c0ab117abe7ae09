import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { honeybee, honeybeeDemo, llavaHf, tinyLlama } from "./line-templates.ts";
import {
  chatml,
  chatmlDirect,
  llama2,
  llavaLlama2,
  llavaMpt,
  llavaPlain,
  llavaV0,
  llavaV0Tagged,
  llavaV1,
  llavaV1Tagged,
  mistralInstruct,
  vicunaV0,
  vicunaV1,
} from "./llava-templates.ts";
import type { ContentPart, Message, PromptTemplate } from "./messages.ts";
import { miniGpt4, miniGpt4Llama2 } from "./minigpt4-templates.ts";

const VECTORS = fileURLToPath(new URL("../__vectors__/", import.meta.url));
const GOLDEN = fileURLToPath(new URL("../../../../golden/text-tokenizers/chat-templates/", import.meta.url));
const read = <Content>(path: string): Content => JSON.parse(readFileSync(path, "utf8")) as Content;

const LLAVA: Readonly<Record<string, PromptTemplate>> = {
  vicuna_v1: vicunaV1,
  v1: vicunaV1,
  llava_v1: llavaV1,
  llava_v0: llavaV0,
  v0: vicunaV0,
  default: vicunaV0,
  v0_mmtag: llavaV0Tagged,
  v1_mmtag: llavaV1Tagged,
  llava_llama_2: llavaLlama2,
  llama_2: llama2,
  mistral_instruct: mistralInstruct,
  mpt: llavaMpt,
  chatml_direct: chatmlDirect,
  mistral_direct: chatmlDirect,
  plain: llavaPlain,
  v0_plain: llavaPlain,
};

const dialogue = (turns: readonly string[]): Message[] =>
  turns.map((content, i) => ({ role: i % 2 === 0 ? "user" : "assistant", content }));

describe("LLaVA's conv_templates", () => {
  const { templates } = read<{
    readonly templates: readonly {
      readonly template: string;
      readonly turns?: string[];
      readonly tuple?: string;
      readonly prompt?: string;
    }[];
  }>(`${VECTORS}llava-original/expected.json`);

  test.each(templates.map((row) => ({ ...row, name: `${row.template}, ${row.turns?.length ?? "picture"}` })))(
    "$name",
    ({ template, turns, tuple, prompt }) => {
      const by = LLAVA[template] as PromptTemplate;
      const messages: Message[] = turns === undefined ? [{ role: "user", content: [{ type: "image" }, tuple ?? ""] }] : dialogue(turns);
      const addGenerationPrompt = messages.length % 2 === 1;
      if (prompt === undefined)
        expect(() => by.render(messages, { addGenerationPrompt })).toThrowError(expect.objectContaining({ code: "role_order" }));
      else expect(by.render(messages, { addGenerationPrompt })).toBe(prompt);
    },
  );

  test("a system message takes the place of the default one", () => {
    const messages: Message[] = [{ role: "system", content: "Be brief." }, ...dialogue(["Hi"])];
    expect(vicunaV1.render(messages)).toBe("Be brief. USER: Hi ASSISTANT:");
    expect(llavaLlama2.render(messages)).toBe("[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nHi [/INST]");
    expect(chatmlDirect.render(messages)).toBe(
      "<|im_start|>system\nBe brief.<|im_end|><|im_start|>user\nHi<|im_end|><|im_start|>assistant\n",
    );
  });
});

describe("templates that the hub has in Jinja", () => {
  interface Case {
    readonly conversation: string;
    readonly messages: Message[];
    readonly add_generation_prompt: boolean;
    readonly rendered?: string;
  }
  const { cases } = read<{ readonly cases: Readonly<Record<string, readonly Case[]>> }>(`${GOLDEN}expected.json`);
  // conversations that the typed templates refuse: roles out of order, or nothing left to answer
  const refused = (row: Case): boolean =>
    row.conversation === "bad-order" || (row.add_generation_prompt && row.messages.at(-1)?.role === "assistant");

  test.each([
    ["chatml", chatml],
    ["llava", llavaHf],
    ["tinyllama", tinyLlama],
  ])("%s", (name, template) => {
    for (const { messages, add_generation_prompt: addGenerationPrompt, ...row } of cases[name] ?? []) {
      if (refused({ messages, add_generation_prompt: addGenerationPrompt, ...row })) {
        expect(() => template.render(messages, { addGenerationPrompt })).toThrowError(expect.objectContaining({ code: "role_order" }));
      } else if (row.conversation !== "empty-content" || name !== "chatml") {
        expect(template.render(messages, { addGenerationPrompt })).toBe(row.rendered);
      }
    }
  });
});

describe("Honeybee", () => {
  const question: Message[] = [{ role: "user", content: [{ type: "image" }, "What is this?"] }];

  test("as construct_input_prompt", () => {
    expect(honeybee.render(question)).toBe(
      "The following is a conversation between a curious human and AI assistant. The assistant gives helpful, detailed, and polite answers to " +
        "the user's questions.\nHuman: <image>\nHuman: What is this?\nAI: ",
    );
    const { tokenization } = read<{ readonly tokenization: readonly { readonly prompt: string }[] }>(`${VECTORS}honeybee/expected.json`);
    expect(honeybee.render([{ role: "user", content: [{ type: "image" }, "What is in the image?"] }])).toBe(tokenization[0]?.prompt);
    const later: Message[] = [
      { role: "user", content: [{ type: "image" }, "What is in the image?"] },
      { role: "assistant", content: "A bee on a flower." },
      { role: "user", content: "Describe the first one." },
      { role: "assistant", content: "It is yellow and black." },
    ];
    expect(honeybee.render(later, { addGenerationPrompt: false })).toBe(tokenization[4]?.prompt);
  });

  test("as the demo", () => {
    expect(honeybeeDemo.render(question)).toBe(
      "The following is a conversation between a curious human and AI. The AI gives helpful, detailed, and polite answers to the human's " +
        "questions.\nHuman: <image>\nHuman: What is this?\nAI: ",
    );
  });
});

describe("MiniGPT-4", () => {
  const { prompts } = read<{
    readonly prompts: readonly {
      readonly template: string;
      readonly ops: readonly (readonly [string, string?])[];
      readonly prompt: string;
    }[];
  }>(`${VECTORS}minigpt4/expected.json`);

  /** `upload_img` and the `ask` behind it are one user message here. */
  function messagesOf(ops: readonly (readonly [string, string?])[]): Message[] {
    const messages: { role: "user" | "assistant"; content: ContentPart[] }[] = [];
    for (const [op, text = ""] of ops) {
      const last = messages.at(-1);
      const part: ContentPart = op === "image" ? { type: "image" } : text;
      if (op !== "answer" && last?.role === "user" && typeof last.content.at(-1) !== "string") last.content.push(part);
      else messages.push({ role: op === "answer" ? "assistant" : "user", content: [part] });
    }
    return messages;
  }

  test.each(prompts)("$template $ops", ({ template, ops, prompt }) => {
    const by = template === "CONV_VISION_Vicuna0" ? miniGpt4 : miniGpt4Llama2;
    expect(by.render(messagesOf(ops))).toBe(prompt.replaceAll("<ImageHere>", "<image>"));
  });
});

describe("refusals", () => {
  const user: Message = { role: "user", content: "Hi" };
  const assistant: Message = { role: "assistant", content: "Hello" };

  test("roles out of order", () => {
    expect(() => vicunaV1.render([assistant])).toThrowErrorMatchingInlineSnapshot(
      `[PromptError: message 0 is the assistant's, expected the user's: user and assistant take turns, the user begins.]`,
    );
    expect(() => vicunaV1.render([user, user])).toThrowError(expect.objectContaining({ code: "role_order", index: 1 }));
    expect(() => llavaHf.render([user, assistant, { role: "system", content: "late" }])).toThrowErrorMatchingInlineSnapshot(
      `[PromptError: message 2 is the system's, expected the user's: a system message can only come first.]`,
    );
    expect(() => honeybee.render([user, assistant])).toThrowErrorMatchingInlineSnapshot(
      `[PromptError: message 1, the last, is the assistant's: there is nothing left to answer. Add a user message, or pass addGenerationPrompt: false.]`,
    );
    expect(() => miniGpt4.render([assistant])).toThrowError(expect.objectContaining({ code: "role_order" }));
    expect(() => tinyLlama.render([{ role: "system", content: "x" }])).toThrowError("there is no user message");
  });

  test("what is no message", () => {
    expect(() => vicunaV1.render([])).toThrowError(expect.objectContaining({ code: "messages" }));
    expect(() => vicunaV1.render([{ role: "tool", content: "" } as unknown as Message])).toThrowErrorMatchingInlineSnapshot(
      `[PromptError: message 0: unknown role "tool"; known: system, user, assistant.]`,
    );
    expect(() =>
      vicunaV1.render([{ role: "user", content: [{ type: "video" }] } as unknown as Message]),
    ).toThrowErrorMatchingInlineSnapshot(
      `[PromptError: message 0: a part is a string, { type: "text", text } or { type: "image" }; got type "video".]`,
    );
    expect(() => vicunaV1.render([user, { role: "assistant", content: [{ type: "image" }] }, user])).toThrowError(
      "only the user shows pictures",
    );
    expect(() => vicunaV1.render([user], { addGenerationprompt: true } as object)).toThrowError(
      expect.objectContaining({ code: "invalid_option" }),
    );
  });
});
