/** What can be wrong with a tokenizer, its files, or what is asked of it. */
export type TokenizerErrorCode =
  | "not_found" // the folder holds none of the file sets we read
  | "unreadable" // the operating system refuses the file
  | "too_large" // beyond a named limit
  | "invalid_json"
  | "invalid_entry" // an entry has the wrong type or an impossible value
  | "unsupported" // a component, class or model type we do not know, by name
  | "invalid_reference" // an entry names a token or id that does not exist, or two entries contradict each other
  | "invalid_pattern" // a regular expression that cannot be translated
  | "invalid_model" // a SentencePiece file that is truncated or not one
  | "missing_unknown" // a text that the vocabulary cannot spell, and no unknown token to stand for it
  | "invalid_ids" // decode() got something that is not a token id
  | "invalid_option";

export interface TokenizerErrorDetails {
  /** The file, as it was given. */
  readonly file?: string;
  /** Where in the file, as a path: `model.merges[17]`. */
  readonly entry?: string;
}

/** Every failure of this package that concerns a tokenizer. */
export class TokenizerError extends Error {
  override readonly name: string = "TokenizerError";
  readonly code: TokenizerErrorCode;
  readonly file: string | null;
  readonly entry: string | null;

  constructor(code: TokenizerErrorCode, message: string, details: TokenizerErrorDetails = {}) {
    const where = [details.file, details.entry].filter((part) => part !== undefined).join(": ");
    super(where === "" ? message : `${where}: ${message}`);
    this.code = code;
    this.file = details.file ?? null;
    this.entry = details.entry ?? null;
  }
}
