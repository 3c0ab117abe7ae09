export { loadTokenizer } from "./load-tokenizer.ts";
export type { DecodeOptions, EncodeOptions, SpecialIds, StreamOptions, Tokenizer, TokenStream } from "./tokenizer.ts";
export { TokenizerError, type TokenizerErrorCode } from "./tokenizer-error.ts";
