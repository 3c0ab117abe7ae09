/** The models that look whole words up: WordPiece (longest pieces first) and WordLevel (the word or nothing). */
import type { JsonEntry } from "../json-entry.ts";
import { TokenizerError } from "../tokenizer-error.ts";
import { characterLength } from "../utf8.ts";
import { Vocabulary } from "../vocabulary.ts";
import type { TokenModel } from "./model.ts";

/** The unknown token's id is looked up when it is needed: a file without it serves texts that do not need it. */
class UnknownToken {
  readonly #entry: JsonEntry;
  readonly #token: string;
  readonly #id: number | undefined;

  constructor(entry: JsonEntry, vocabulary: Vocabulary, fallback: string) {
    this.#entry = entry;
    this.#token = entry.string(fallback);
    this.#id = vocabulary.id(this.#token);
  }

  idFor(word: string): number {
    if (this.#id === undefined) {
      throw new TokenizerError(
        "missing_unknown",
        `${JSON.stringify(word)} is not in the vocabulary, and neither is the unknown token ${JSON.stringify(this.#token)}.`,
        { file: this.#entry.file, entry: this.#entry.path },
      );
    }
    return this.#id;
  }
}

/** reference  tokenizers `WordPiece` */
export class WordPieceModel implements TokenModel {
  readonly kind = "WordPiece";
  readonly vocabulary: Vocabulary;
  readonly #unknown: UnknownToken;
  readonly #prefix: string;
  readonly #longestWord: number;

  constructor(entry: JsonEntry) {
    this.vocabulary = Vocabulary.parse(entry.at("vocab"));
    this.#unknown = new UnknownToken(entry.at("unk_token"), this.vocabulary, "[UNK]");
    this.#prefix = entry.at("continuing_subword_prefix").string("##");
    this.#longestWord = entry.at("max_input_chars_per_word").integer(100);
  }

  tokenize(piece: string, into: number[]): void {
    const found: number[] = [];
    let characters = 0;
    for (let i = 0; i < piece.length && characters <= this.#longestWord; i += characterLength(piece, i)) characters++;
    for (let start = 0; characters <= this.#longestWord && start < piece.length; ) {
      let end = piece.length;
      let id = this.#lookUp(piece, start, end);
      while (id === undefined && end > start + 1) {
        end -= isLowSurrogate(piece.charCodeAt(end - 1)) ? 2 : 1;
        id = end > start ? this.#lookUp(piece, start, end) : undefined;
      }
      if (id === undefined) break;
      found.push(id);
      start = end;
      if (start === piece.length) {
        into.push(...found);
        return;
      }
    }
    into.push(this.#unknown.idFor(piece));
  }

  #lookUp(piece: string, start: number, end: number): number | undefined {
    return this.vocabulary.id(start === 0 ? piece.slice(0, end) : this.#prefix + piece.slice(start, end));
  }
}

function isLowSurrogate(unit: number): boolean {
  return unit >= 0xdc00 && unit < 0xe000;
}

/** reference  tokenizers `WordLevel` */
export class WordLevelModel implements TokenModel {
  readonly kind = "WordLevel";
  readonly vocabulary: Vocabulary;
  readonly #unknown: UnknownToken;

  constructor(entry: JsonEntry) {
    this.vocabulary = Vocabulary.parse(entry.at("vocab"));
    this.#unknown = new UnknownToken(entry.at("unk_token"), this.vocabulary, "<unk>");
  }

  tokenize(piece: string, into: number[]): void {
    into.push(this.vocabulary.id(piece) ?? this.#unknown.idFor(piece));
  }
}
