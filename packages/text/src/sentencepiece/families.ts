/**
 * What transformers' slow tokenizers do around SentencePiece, family by family.
 * reference  transformers 4.36 `LlamaTokenizer`, `T5Tokenizer`
 */
import type { TokenizerConfig } from "../tokenizer-config.ts";
import { SPACE } from "./text-normalizer.ts";

export interface Family {
  readonly name: "llama" | "t5";
  readonly roles: Readonly<Partial<Record<"bos" | "eos" | "unk" | "pad", string>>>;
  readonly addBos: boolean;
  readonly addEos: boolean;
  /** A text that already ends with the end-of-text token gets no second one. */
  readonly singleEos: boolean;
  readonly extraIds: number;
  /** The first piece of a text, as the class changes it before decoding. */
  firstPiece(piece: string): string;
  /** Whether a space goes before a special token that follows an ordinary piece, or stands first. */
  spaceBeforeSpecial(legacy: boolean, first: boolean): boolean;
  readonly stripsText: boolean;
}

export const LLAMA: Family = {
  name: "llama",
  roles: { bos: "<s>", eos: "</s>", unk: "<unk>" },
  addBos: true,
  addEos: false,
  singleEos: false,
  extraIds: 0,
  firstPiece: (piece) => (piece.startsWith(SPACE) ? piece.slice(SPACE.length) : piece),
  spaceBeforeSpecial: (legacy, first) => legacy && !first,
  stripsText: false,
};

export const T5: Family = {
  name: "t5",
  roles: { eos: "</s>", unk: "<unk>", pad: "<pad>" },
  addBos: false,
  addEos: true,
  singleEos: true,
  extraIds: 100,
  firstPiece: (piece) => piece.replace(/^▁+/, ""),
  spaceBeforeSpecial: () => true,
  stripsText: true,
};

const CLASSES: Readonly<Record<string, Family>> = {
  LlamaTokenizer: LLAMA,
  LlamaTokenizerFast: LLAMA,
  CodeLlamaTokenizer: LLAMA,
  CodeLlamaTokenizerFast: LLAMA,
  T5Tokenizer: T5,
  T5TokenizerFast: T5,
};

export const FAMILY_CLASSES: readonly string[] = Object.keys(CLASSES);

/** Undefined for a class we do not know. */
export function familyOf(config: TokenizerConfig, fallback: Family): Family | undefined {
  return config.className === null ? fallback : CLASSES[config.className];
}
