/**
 * LLaVA's conversations as ids and labels: text as the template has it, pictures in front of their turn, targets as
 * {@link roundTargets} and its neighbours find them.
 */
import {
  countPlaceholders,
  IMAGE_PLACEHOLDER,
  llama2,
  llavaLlama2,
  llavaMpt,
  llavaPlain,
  llavaV0,
  llavaV0Tagged,
  llavaV1,
  llavaV1Tagged,
  type Message,
  type PromptTemplate,
  splitPromptIds,
  type Tokenizer,
  vicunaV0,
  vicunaV1,
} from "@waggle/text";
import { checkOptions, DataError, wholeFrom } from "../data-error.ts";
import { type EncodedSample, IMAGE, type Sample, type SampleEncoder, type Turn } from "../sample.ts";
import { cutTo, expanded, labelled } from "./label-span.ts";
import { type Count, chatmlRounds, endedRounds, type RoundRule, roundTargets, startsWords, turnTargets } from "./llava-labels.ts";

export interface LlavaEncoderOptions {
  readonly tokenizer: Tokenizer;
  /** `vicunaV1` for LLaVA-1.5, `llavaPlain` for stage 1; also `llavaV1`, `llavaLlama2`, `llama2`, `llavaMpt`, `vicunaV0`, `llavaV0` and the tagged ones. */
  readonly template: PromptTemplate;
  /** Positions of a sample, visual tokens included; what is longer is cut. Default 2048, as the published models. */
  readonly model_max_length?: number;
  /** `<im_start>` and `<im_end>` around every picture; the tokenizer must have them. Default false. */
  readonly mm_use_im_start_end?: boolean;
  /** Put each `<image>` in front of its turn's text. Default true; LLaVA's scripts all do. */
  readonly is_multimodal?: boolean;
}

const OPTIONS: readonly string[] = [
  "tokenizer",
  "template",
  "model_max_length",
  "mm_use_im_start_end",
  "is_multimodal",
] satisfies (keyof LlavaEncoderOptions)[];

/** @throws DataError "option" for a template that LLaVA was not trained with; `chatEncoder` takes any. */
export function llavaEncoder(options: LlavaEncoderOptions): SampleEncoder {
  const { tokenizer, template, model_max_length: maxLength = 2048, mm_use_im_start_end: tags = false } = options;
  const problems = [wholeFrom(1, "model_max_length", maxLength), ...(tags ? missingTokens(tokenizer) : [])];
  checkOptions("llavaEncoder", options, OPTIONS, problems);
  const encode = encodingOf(tokenizer, template, maxLength);
  return {
    encode(sample, pictureTokens) {
      const conversations = sample.images.length > 0 ? placePictures(sample.conversations, options) : sample.conversations;
      const encoded = encode({ ...sample, conversations });
      return cutTo(expanded(encoded, pictureTokens, options.is_multimodal === false ? undefined : oneOfATurn), maxLength);
    },
  };
}

/** Of several `<image>` in one turn {@link placePictures} leaves one. */
const oneOfATurn = "LLaVA shows one picture in front of a turn, however many <image> stand in it. Give each a turn of its own, with one.";

/** One {@link IMAGE} per `<image>`, uncut where there are pictures. */
type Encoding = (sample: Sample) => EncodedSample;

export function encodingOf(tokenizer: Tokenizer, template: PromptTemplate, maxLength: number): Encoding {
  const rule = ruleOf(tokenizer, template);
  if (rule !== null) return (sample) => encodeRounds(sample, { tokenizer, template, rule, maxLength });
  if (template === llavaPlain) return (sample) => encodeCaption(sample, tokenizer);
  if (HASHES.has(template)) return (sample) => encodeTurns(sample, { tokenizer, template, maxLength });
  const known = "vicunaV1, llavaV1, llavaV1Tagged, llavaLlama2, llama2, llavaMpt, llavaPlain, vicunaV0, llavaV0, llavaV0Tagged";
  throw new DataError("option", `llavaEncoder: template: expected one of ${known} of @waggle/text. chatEncoder takes any template.`);
}

const HASHES: ReadonlySet<PromptTemplate> = new Set([vicunaV0, llavaV0, llavaV0Tagged]);

function ruleOf(tokenizer: Tokenizer, template: PromptTemplate): RoundRule | null {
  const legacy = startsWords(tokenizer);
  // Without a `▁` of its own, a later round is one id shorter in its place than alone; with one, ChatML's is one longer.
  if ([vicunaV1, llavaV1, llavaV1Tagged].includes(template)) return endedRounds(" ASSISTANT: ", legacy ? 0 : -1);
  if ([llavaLlama2, llama2].includes(template)) return endedRounds("[/INST] ", 0);
  if (template === llavaMpt) return chatmlRounds(legacy ? 1 : 0);
  return null;
}

/** reference  `preprocess_multimodal` */
export function placePictures(
  turns: readonly Turn[],
  { template, mm_use_im_start_end, is_multimodal = true }: LlavaEncoderOptions,
): readonly Turn[] {
  if (!is_multimodal) return turns;
  const tagged = template === llavaV1Tagged || template === llavaV0Tagged ? `<Image>${IMAGE_PLACEHOLDER}</Image>` : IMAGE_PLACEHOLDER;
  const shown = mm_use_im_start_end ? tagged.replace(IMAGE_PLACEHOLDER, `<im_start>${IMAGE_PLACEHOLDER}<im_end>`) : tagged;
  return turns.map(({ from, value }) => {
    if (!value.includes(IMAGE_PLACEHOLDER)) return { from, value };
    const text = value.replaceAll(IMAGE_PLACEHOLDER, "").trim();
    return { from, value: `${IMAGE_PLACEHOLDER}\n${text}`.trim().replace(IMAGE_PLACEHOLDER, () => shown) };
  });
}

interface Setting {
  readonly tokenizer: Tokenizer;
  readonly template: PromptTemplate;
  readonly maxLength: number;
}

function encodeRounds(sample: Sample, { tokenizer, template, rule, maxLength }: Setting & { readonly rule: RoundRule }): EncodedSample {
  const text = template.render(messagesOf(sample.conversations), { addGenerationPrompt: false });
  const tokenize = tokenizing(sample, tokenizer);
  const all = tokenize(text);
  const ids = sample.images.length > 0 ? all : all.slice(0, maxLength);
  const length = ids.filter((id) => id !== paddingOf(tokenizer)).length;
  return labelled(
    ids,
    roundTargets(text, (part) => tokenize(part).length, { length, maxLength }, rule),
  );
}

/** The plain template: a picture and its caption, nothing else. */
function encodeCaption({ conversations }: Sample, tokenizer: Tokenizer): EncodedSample {
  const [question, answer] = conversations;
  if (conversations.length !== 2 || question === undefined || answer === undefined || !question.value.includes(IMAGE_PLACEHOLDER)) {
    const found = `${conversations.length} turns${question?.value.includes(IMAGE_PLACEHOLDER) ? "" : ", the first without <image>"}`;
    throw new DataError("bad-sample", `the plain template takes two turns, <image> in the first; found ${found}.`);
  }
  const ids = splitIds(tokenizer, `${IMAGE_PLACEHOLDER}${answer.value}\n`);
  return labelled(ids, [[splitIds(tokenizer, IMAGE_PLACEHOLDER).length, ids.length]]);
}

function encodeTurns(sample: Sample, { tokenizer, template, maxLength }: Setting): EncodedSample {
  const [system = ""] = template.render([{ role: "user", content: "" }], { addGenerationPrompt: false }).split("###");
  const header = `${system}\n\n`;
  const turns = sample.conversations.map(({ from, value }) => ({
    human: from === "human",
    text: `### ${from === "human" ? "Human" : "Assistant"}: ${value}\n`,
  }));
  const tokenize = tokenizing(sample, tokenizer);
  const cut = (ids: readonly number[]): readonly number[] => (sample.images.length > 0 ? ids : ids.slice(0, maxLength));
  const ids = cut(tokenize(`${header}${turns.map(({ text }) => text).join("")}### `));
  const count: Count = (text) => cut(tokenize(text)).length;
  return labelled(ids, turnTargets(header, turns, count, ids.length));
}

/** A sample without pictures is tokenized in one piece, an `<image>` in it as the text that it is. */
function tokenizing({ images }: Sample, tokenizer: Tokenizer): (text: string) => readonly number[] {
  return images.length > 0 ? (text) => splitIds(tokenizer, text) : (text) => tokenizer.encode(text);
}

function splitIds(tokenizer: Tokenizer, text: string): number[] {
  return splitPromptIds(tokenizer, text, { imageTokens: Array.from({ length: countPlaceholders(text) }, () => 1), imageTokenId: IMAGE });
}

/** A first turn of the assistant's is left out. */
function messagesOf(turns: readonly Turn[]): readonly Message[] {
  const rest = turns[0]?.from === "gpt" ? turns.slice(1) : turns;
  return rest.map(({ from, value }) => ({ role: from === "human" ? "user" : "assistant", content: value }));
}

/** LLaVA pads with the unknown token, and does not count one that stands in the text either. */
function paddingOf({ special }: Tokenizer): number | undefined {
  return special.unk ?? special.pad;
}

function missingTokens(tokenizer: Tokenizer): string[] {
  const missing = ["<im_start>", "<im_end>"].filter((token) => tokenizer.tokenId(token) === undefined);
  return missing.length === 0
    ? []
    : [`mm_use_im_start_end: the tokenizer has no token ${missing.join(", ")}; list them in added_tokens.json.`];
}
