/**
 * Conversations through any chat template. The template writes the whole conversation, the text is tokenized in one
 * piece, and what it wrote for an assistant's turn, up to and including the text that ends the turn, is the target.
 */
import {
  type ContentPart,
  countPlaceholders,
  expandedPromptIds,
  IMAGE_PLACEHOLDER,
  type Message,
  type PromptTemplate,
  splitPromptIds,
  type Tokenizer,
} from "@waggle/text";
import { checkOptions, DataError, wholeFrom } from "../data-error.ts";
import { IMAGE, type Sample, type SampleEncoder } from "../sample.ts";
import { cutTo, expanded, type LabelSpan, labelled } from "./label-span.ts";

export interface ChatEncoderOptions {
  readonly tokenizer: Tokenizer;
  readonly template: PromptTemplate;
  /** What the template writes for a picture. Default `<image>`. */
  readonly placeholder?: string;
  /** Positions of a sample, visual tokens included; what is longer is cut. Default: no limit. */
  readonly max_length?: number;
}

const OPTIONS: readonly string[] = ["tokenizer", "template", "placeholder", "max_length"] satisfies (keyof ChatEncoderOptions)[];

/**
 * A template that does not end its answers (llava-hf's) gets the end-of-text token behind the last one: without it a
 * model would never learn to stop.
 */
export function chatEncoder(options: ChatEncoderOptions): SampleEncoder {
  const { tokenizer, template, placeholder = IMAGE_PLACEHOLDER, max_length: maxLength = Infinity } = options;
  checkOptions("chatEncoder", options, OPTIONS, [maxLength === Infinity ? null : wholeFrom(1, "max_length", maxLength)]);
  return {
    encode(sample, pictureTokens) {
      const { text, answers, ended } = writeConversation(sample, template);
      const ids = idsOf(tokenizer, text, placeholder);
      const reached = (end: number): number => sharedLength(ids, idsOf(tokenizer, text.slice(0, end), placeholder));
      const targets = answers.map(([start, end]): LabelSpan => [reached(start), reached(end)]);
      const eos = tokenizer.special.eos;
      if (!ended && eos !== undefined) targets.push([ids.length, ids.push(eos)]);
      return cutTo(expanded(labelled(ids, targets), pictureTokens), maxLength);
    },
  };
}

interface Written {
  /** Up to the end of the last answer. */
  readonly text: string;
  readonly answers: readonly LabelSpan[];
  /** Whether the last answer ends with a text that stops generation. */
  readonly ended: boolean;
}

function writeConversation(sample: Sample, template: PromptTemplate): Written {
  const messages = messagesOf(sample);
  const text = template.render(messages, { addGenerationPrompt: false });
  const answers: LabelSpan[] = [];
  let ended = true;
  for (const [i, { role }] of messages.entries()) {
    if (role !== "assistant") continue;
    const start = beginning(text, template.render(messages.slice(0, i)));
    const turn = text.slice(start, beginning(text, template.render(messages.slice(0, i + 1), { addGenerationPrompt: false })));
    const end = Math.max(0, ...template.stop.filter((stop) => turn.includes(stop)).map((stop) => turn.lastIndexOf(stop) + stop.length));
    ended = end > 0;
    answers.push([start, start + (ended ? end : turn.trimEnd().length)]);
  }
  const last = answers.at(-1);
  if (last === undefined) throw new DataError("no-targets", "the conversation has no answer of the assistant's.");
  return { text: text.slice(0, last[1]), answers, ended };
}

/** The length of `part`, which `text` begins with. */
function beginning(text: string, part: string): number {
  if (text.startsWith(part)) return part.length;
  const problem = "the template writes a conversation otherwise once more turns follow, so its answers cannot be told apart.";
  throw new DataError("option", `chatEncoder: template: ${problem} Train on one answer per sample, or use another template.`);
}

/** A first turn of the assistant's is left out. */
function messagesOf({ images, conversations }: Sample): readonly Message[] {
  const turns = conversations[0]?.from === "gpt" ? conversations.slice(1) : conversations;
  return turns.map(({ from, value }) => {
    if (from === "gpt") return { role: "assistant", content: value };
    return { role: "user", content: images.length > 0 ? partsOf(value) : value };
  });
}

/** `<image>` becomes a picture part; the line break beside one goes, since the template writes its own. */
function partsOf(value: string): string | readonly ContentPart[] {
  if (!value.includes(IMAGE_PLACEHOLDER)) return value;
  return value.split(new RegExp(`(\n?${IMAGE_PLACEHOLDER}\n?)`)).flatMap((piece): ContentPart[] => {
    if (piece.includes(IMAGE_PLACEHOLDER)) return [{ type: "image" }];
    return piece === "" ? [] : [{ type: "text", text: piece }];
  });
}

/** One {@link IMAGE} per picture. */
function idsOf(tokenizer: Tokenizer, text: string, placeholder: string): number[] {
  const imageTokens = Array.from({ length: countPlaceholders(text, placeholder) }, () => 1);
  const picture = tokenizer.tokenId(placeholder);
  if (picture === undefined) return splitPromptIds(tokenizer, text, { imageTokens, imageTokenId: IMAGE, placeholder });
  return expandedPromptIds(tokenizer, text, { imageTokens, placeholder }).map((id) => (id === picture ? IMAGE : id));
}

function sharedLength(a: readonly number[], b: readonly number[]): number {
  const differs = b.findIndex((id, i) => id !== a[i]);
  return differs < 0 ? b.length : differs;
}
