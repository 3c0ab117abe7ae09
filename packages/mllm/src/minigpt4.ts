/**
 * MiniGPT-4: EVA vision encoder → ln_vision → Q-Former → llama_proj → Vicuna; and its variant for Llama 2, which has no
 * Q-Former: four neighbouring patches become one token. Its prompts are cut at the pictures and tokenized piece by piece.
 *
 * reference  Vision-CAIR/MiniGPT-4 `MiniGPT4.from_config`, `Chat.answer`
 */
import { join } from "node:path";
import { miniGpt4Encoder } from "@waggle/data";
import { type GenerationOptions, OptionsError, type PromptSegment } from "@waggle/generation";
import { exactProcessor } from "@waggle/image";
import { groupedLinear, qFormer } from "@waggle/projectors";
import { IMAGE_PLACEHOLDER, loadTokenizer, miniGpt4, miniGpt4Llama2, splitPromptIds, type Tokenizer } from "@waggle/text";
import { eva } from "@waggle/vision";
import { generationDefaults, optionalObject } from "./assets.ts";
import { bindWeights } from "./bind.ts";
import { buildLanguage } from "./build-language.ts";
import { type Composition, compose } from "./compose.ts";
import { type Dialect, strippedAnswer } from "./dialect.ts";
import type { LoadOptions } from "./load-options.ts";
import type { MiniGpt4Parts } from "./minigpt4-parts.ts";
import { type Assembly, assemblyOf } from "./start.ts";

/** No token has it: rules never see the prompt. */
const PICTURE = -1;

/** Of the authors' chat, where the call says nothing else. They draw at random (do_sample: true); here that is asked for, as everywhere. */
const chatDefaults: GenerationOptions = { max_new_tokens: 300, repetition_penalty: 1.05, top_p: 0.9 };
const chatLength = 2000;

export async function miniGpt4Assembly(parts: MiniGpt4Parts, options: LoadOptions, began: number): Promise<Assembly> {
  const composition = miniGpt4Composition(parts);
  const tokenizer = await loadTokenizer(parts.llm);
  return assemblyOf(composition, {
    tokenizer,
    detokenizer: withoutPadding(tokenizer),
    processor: exactProcessor({ size: parts.dims.image_size }),
    template: options.prompt ?? composition.prompt,
    tokenId: PICTURE,
    dialect: miniGpt4Dialect(tokenizer, await firstIdOf(parts.llm), composition.prompt === vicunaChat),
    defaults: await generationDefaults(parts.llm, tokenizer),
    began,
  });
}

/** The published second stage. */
const vicunaStage2 = { prompt_template: "###Human: {} ###Assistant: ", end_sym: "###" };
const llamaStage2 = { prompt_template: "[INST] {} [/INST] ", end_sym: "</s>" };

/** Answers end at token sequences, not at a text: `####` does not end one. */
const vicunaChat = { ...miniGpt4, stop: [] };

/** The parts with their weights. */
export function miniGpt4Composition({ dims, text, weights }: MiniGpt4Parts): Composition {
  const { state, spelling, grouped, trained_image_size } = weights;
  const { vision, image_size, qformer } = dims;
  const composition = compose({
    vision: eva({ ...vision, image_size: trained_image_size, ln_vision_eps: 1e-5 }, { image_size, classToken: grouped ? "drop" : "keep" }),
    projector: grouped ? groupedLinear({ group: 4 }) : qFormer(qformer),
    language: buildLanguage(text),
    prompt: grouped ? miniGpt4Llama2 : vicunaChat,
  });
  bindWeights(composition.modules, state, spelling);
  return composition;
}

/** bos_token_id of the language model's generation config, or of its config (here maybe inside): 0 for the published Vicuna v0, though its `<s>` is 1. */
async function firstIdOf(llm: string): Promise<number | undefined> {
  const config = await optionalObject(join(llm, "config.json"));
  const generation = await optionalObject(join(llm, "generation_config.json"));
  const text = config?.text_config as typeof config;
  return [generation, config, text].map((fields) => fields?.bos_token_id).find((id) => typeof id === "number");
}

function miniGpt4Dialect(tokenizer: Tokenizer, firstId: number | undefined, hashesEnd: boolean): Dialect {
  return {
    promptIds: (text, imageTokens, rendered) =>
      splitPromptIds(tokenizer, rendered ? text : text.replaceAll("<ImageHere>", IMAGE_PLACEHOLDER), {
        imageTokens,
        imageTokenId: PICTURE,
      }),
    visiblePrompt: [],
    firstId,
    encoder: miniGpt4Encoder({ tokenizer, max_txt_len: 160, ...(hashesEnd ? vicunaStage2 : llamaStage2) }),
    conversation: { ...chatDefaults, ...(hashesEnd && { stop_words_ids: hashes(tokenizer) }) },
    fit: (prompt, { max_new_tokens, max_length }, rendered) =>
      rendered && max_new_tokens !== null ? lastOf(prompt, max_length ?? chatLength, max_new_tokens) : prompt,
    answer: (rendered) => strippedAnswer(rendered ? { until: "###", after: "Assistant:" } : { after: "[/INST]" }),
  };
}

/** `###` as it is tokenized behind a space, and behind anything else: [835] and [2277, 29937] in Llama's vocabulary. */
function hashes(tokenizer: Tokenizer): number[][] {
  const ids = (text: string): number[] => tokenizer.encode(text, { addSpecialTokens: false });
  return [ids("###"), ids(".###").slice(ids(".").length)];
}

/** The authors' chat forgets what is oldest: prompt and answer have `length` positions together. */
function lastOf(prompt: readonly PromptSegment[], length: number, answer: number): readonly PromptSegment[] {
  const sizes = prompt.map((segment) => ("rows" in segment ? segment.rows : segment.length));
  const size = sizes.reduce((sum, each) => sum + each, 0);
  let surplus = size + answer - length;
  if (surplus >= size) throw new OptionsError([`max_length: ${length} leaves no room for a prompt beside max_new_tokens: ${answer}`]);
  return prompt.flatMap((segment, i) => {
    const cut = Math.min(Math.max(0, surplus), sizes[i] ?? 0);
    surplus -= cut;
    if (cut === 0) return [segment];
    if (!("rows" in segment)) return [segment.slice(cut)];
    const { firstRow, rows, identity } = segment;
    return [{ ...segment, firstRow: firstRow + cut, rows: rows - cut, identity: `${identity} from ${cut}` }];
  });
}

/** The authors make `$$`, an ordinary piece, the padding token: it is no part of a text. */
function withoutPadding(tokenizer: Tokenizer): Pick<Tokenizer, "decode" | "stream"> {
  const padding = tokenizer.tokenId("$$");
  return {
    decode: (ids, options) =>
      tokenizer.decode(
        Array.from(ids).filter((id) => id !== padding),
        options,
      ),
    stream(options) {
      const stream = tokenizer.stream(options);
      return { push: (id) => (id === padding ? "" : stream.push(id)), end: () => stream.end() };
    },
  };
}
