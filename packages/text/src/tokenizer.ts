/** Text to token ids and back. Made by `loadTokenizer`, `pipelineTokenizer` and `sentencePieceTokenizer`. */
export interface Tokenizer {
  /** Token ids of `text`. Special tokens written in the text are recognised; lone surrogates count as U+FFFD. */
  encode(text: string, options?: EncodeOptions): number[];
  /** Text of `ids`. Ids that the vocabulary does not know (padded rows of an embedding table) are passed over. */
  decode(ids: Iterable<number>, options?: DecodeOptions): string;
  /** Decodes token by token; what comes out, joined, is what `decode` gives for all of them. */
  stream(options?: StreamOptions): TokenStream;
  /** The id of a token spelled as in the vocabulary (`"▁Hello"`, `"<image>"`), undefined if there is none. */
  tokenId(token: string): number | undefined;
  /** The token of an id, spelled as in the vocabulary. */
  token(id: number): string | undefined;
  /** Number of tokens, added ones included. */
  readonly size: number;
  readonly special: SpecialIds;
}

export interface EncodeOptions {
  /** Put the beginning and end tokens that the tokenizer's files ask for. Default true. */
  readonly addSpecialTokens?: boolean;
}

export interface StreamOptions {
  /** Leave special tokens out of the text. Default false. */
  readonly skipSpecialTokens?: boolean;
}

export interface DecodeOptions extends StreamOptions {
  /**
   * Finish the text as the transformers class named in tokenizer_config.json does: CLIP's `</w>` becomes a space and the
   * ends are stripped; `clean_up_tokenization_spaces` takes the space before punctuation away (never for BPE, as in
   * transformers 5). Default false: the text as the tokenizer's own decoder gives it.
   */
  readonly cleanUp?: boolean;
}

export interface TokenStream {
  /** The text that `id` completes: often one word, "" while a character is still missing bytes. */
  push(id: number): string;
  /** What was held back: bytes that never became a character, a trailing U+FFFD. The stream is then spent. */
  end(): string;
}

/** Ids of the tokens with a role; undefined where the files name none, or one that has no id. */
export interface SpecialIds {
  readonly bos: number | undefined;
  readonly eos: number | undefined;
  readonly pad: number | undefined;
  readonly unk: number | undefined;
}
