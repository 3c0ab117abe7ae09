import type { Vocabulary } from "../vocabulary.ts";

/** The part of a tokenizer.json that turns one pre-tokenized piece into ids. */
export interface TokenModel {
  readonly kind: "BPE" | "WordPiece" | "WordLevel" | "Unigram";
  readonly vocabulary: Vocabulary;
  /** Appends the ids of `piece` (not empty) to `into`. */
  tokenize(piece: string, into: number[]): void;
}
