/**
 * From rendered text with `<image>` placeholders to token ids, in the three ways that published models were trained with:
 *
 *     expandedPromptIds   Hugging Face: each placeholder is repeated in the text, then all is tokenized at once
 *     splitPromptIds      LLaVA and MiniGPT-4: the texts between pictures are tokenized one by one, BOS only in front
 *     honeybeePromptIds   Honeybee: split at the roles too, without special tokens, so every piece has its own `▁`
 *
 * `imageTokens` says for every picture how many positions it takes.
 */
import type { Tokenizer } from "../tokenizer.ts";
import { IMAGE_PLACEHOLDER } from "./messages.ts";
import { PromptError } from "./prompt-error.ts";

export interface ImageIdsOptions {
  /** Positions of each picture, in the order of the placeholders. */
  readonly imageTokens: readonly number[];
  /** Default `<image>`. */
  readonly placeholder?: string;
}

/** Text in which every placeholder stands as often as its picture has positions. */
export function expandPlaceholders(text: string, { imageTokens, placeholder = IMAGE_PLACEHOLDER }: ImageIdsOptions): string {
  const pieces = splitAtPictures(text, imageTokens, placeholder);
  return pieces.map((piece, i) => (i === 0 ? piece : placeholder.repeat(imageTokens[i - 1] ?? 0) + piece)).join("");
}

export interface ExpandedPromptOptions extends ImageIdsOptions {
  /** Default: yes, unless the text already begins with the begin-of-text token (a chat template may have put it there). */
  readonly addSpecialTokens?: boolean;
}

/** The placeholder must be a token of the vocabulary; its id marks the positions of the pictures. */
export function expandedPromptIds(tokenizer: Tokenizer, text: string, options: ExpandedPromptOptions): number[] {
  const placeholder = options.placeholder ?? IMAGE_PLACEHOLDER;
  if (options.imageTokens.length > 0 && tokenizer.tokenId(placeholder) === undefined) {
    throw new PromptError(
      "tokenizer",
      `the tokenizer has no token ${JSON.stringify(placeholder)}; use splitPromptIds, or name the placeholder.`,
    );
  }
  const bos = tokenizer.special.bos === undefined ? undefined : tokenizer.token(tokenizer.special.bos);
  const addSpecialTokens = options.addSpecialTokens ?? !(bos !== undefined && text.startsWith(bos));
  return tokenizer.encode(expandPlaceholders(text, options), { addSpecialTokens });
}

export interface SplitPromptOptions extends ImageIdsOptions {
  /** The id that stands at a picture's positions. Default −200, LLaVA's. */
  readonly imageTokenId?: number;
}

/** reference  LLaVA `tokenizer_image_token` */
export function splitPromptIds(tokenizer: Tokenizer, text: string, options: SplitPromptOptions): number[] {
  const { imageTokens, imageTokenId = -200, placeholder = IMAGE_PLACEHOLDER } = options;
  const ids: number[] = [];
  for (const [i, piece] of splitAtPictures(text, imageTokens, placeholder).entries()) {
    if (i > 0) pushRepeated(ids, imageTokenId, imageTokens[i - 1] ?? 0);
    const encoded = tokenizer.encode(piece);
    const begins = encoded.length > 0 && encoded[0] === tokenizer.special.bos;
    for (const id of i > 0 && begins ? encoded.slice(1) : encoded) ids.push(id);
  }
  return ids;
}

export interface HoneybeePromptOptions extends ImageIdsOptions {
  /** The id that stands at a picture's positions. Default −1. */
  readonly imageTokenId?: number;
  /** "roles": also at `\nHuman: ` and `\nAI: ` (May 2024). "pictures": only at pictures (December 2023). Default "roles". */
  readonly splitAt?: "roles" | "pictures";
  /** End every answer, a last one too, with the end-of-text token. Default false: an unfinished prompt has none at its end. */
  readonly endOfText?: boolean;
  /** Positions after BOS at most; a picture that does not fit ends the prompt, except a caption's. Default: no limit. */
  readonly maxLength?: number;
}

export interface LabelledIds {
  readonly ids: number[];
  /** The ids that training predicts; −100 elsewhere. */
  readonly labels: number[];
}

const IGNORED = -100;
/** Begins a text that is a picture and its caption only, all of it a target. */
const NO_PROMPT = "[NO_PROMPT] ";
const AI = "\nAI: ";
const HUMAN = "\nHuman: ";

/** reference  kakaobrain/honeybee `encode_prompt` */
export function honeybeePromptIds(tokenizer: Tokenizer, text: string, options: HoneybeePromptOptions): LabelledIds {
  const {
    imageTokens,
    imageTokenId = -1,
    splitAt = "roles",
    endOfText = false,
    maxLength = Infinity,
    placeholder = IMAGE_PLACEHOLDER,
  } = options;
  const { bos, eos } = tokenizer.special;
  if (bos === undefined || eos === undefined)
    throw new PromptError("tokenizer", "honeybeePromptIds needs a tokenizer with bos and eos tokens.");
  const ids = [bos];
  const labels = [IGNORED];
  const caption = splitAt === "roles" && text.startsWith(NO_PROMPT + placeholder);
  const pieces = caption
    ? [placeholder, captionOf(text, placeholder)]
    : splitKeeping(text, splitAt === "roles" ? [placeholder, AI, HUMAN] : [placeholder]);
  splitAtPictures(caption ? placeholder : text, imageTokens, placeholder); // counts
  let picture = 0;
  for (const [i, piece] of pieces.entries()) {
    if (piece === placeholder) {
      const count = imageTokens[picture++] ?? 0;
      if (!caption && ids.length + count > maxLength + 1) break;
      pushRepeated(ids, imageTokenId, count);
      pushRepeated(labels, IGNORED, count);
      continue;
    }
    const target = splitAt === "roles" && (caption || pieces[i - 1] === AI);
    const encoded = tokenizer.encode(piece, { addSpecialTokens: false });
    if (target) encoded.push(eos);
    for (const id of encoded) {
      ids.push(id);
      labels.push(target ? id : IGNORED);
    }
  }
  const length = Math.min(ids.length, maxLength + 1);
  const finished = !endOfText && ids[length - 1] === eos ? length - 1 : length;
  return { ids: ids.slice(0, finished), labels: labels.slice(0, finished) };
}

/** What stands behind the mark, whatever it is: an `<image>` there is text, a second mark is dropped. */
function captionOf(text: string, placeholder: string): string {
  return text.replaceAll(`${NO_PROMPT}${placeholder} `, "");
}

function splitKeeping(text: string, separators: readonly string[]): string[] {
  const expression = new RegExp(`(${separators.map((separator) => separator.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&")).join("|")})`);
  return text.split(expression).filter((piece) => piece !== "");
}

function splitAtPictures(text: string, imageTokens: readonly number[], placeholder: string): string[] {
  const pieces = text.split(placeholder);
  const [placeholders, pictures] = [pieces.length - 1, imageTokens.length];
  if (placeholders !== pictures) {
    const cure =
      placeholders > pictures
        ? "Give a picture for each, or take the placeholder out."
        : `Write ${placeholder} where each picture belongs.`;
    throw new PromptError(
      "images",
      `the text has ${counted(placeholders, "image placeholder")} (${placeholder}) for ${counted(pictures, "picture")}. ${cure}`,
      {
        placeholders,
        pictures,
      },
    );
  }
  const wrong = imageTokens.find((count) => !Number.isInteger(count) || count < 1);
  if (wrong !== undefined) throw new PromptError("invalid_option", `imageTokens: expected whole numbers from 1, got ${wrong}.`);
  return pieces;
}

function pushRepeated(into: number[], value: number, count: number): void {
  for (let i = 0; i < count; i++) into.push(value);
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
