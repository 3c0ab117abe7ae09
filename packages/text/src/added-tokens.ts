/**
 * Tokens that are found in the text before the model sees it: special tokens and tokens added after training.
 * At each place the longest one counts, from left to right; then come its conditions.
 * reference  tokenizers `AddedVocabulary`
 */
import type { JsonEntry } from "./json-entry.ts";
import { PrefixTrie } from "./prefix-trie.ts";
import { characterLength } from "./utf8.ts";
import { stripEnd, stripStart } from "./white-space.ts";

export interface AddedToken {
  readonly content: string;
  readonly id: number;
  /** Only where no word character touches it. */
  readonly single_word: boolean;
  /** Takes the white space on its left, or right, with it. */
  readonly lstrip: boolean;
  readonly rstrip: boolean;
  /** Looked for in the normalized text, itself normalized. */
  readonly normalized: boolean;
  /** Left out when decoding with `skipSpecialTokens`. */
  readonly special: boolean;
}

export function parseAddedToken(entry: JsonEntry, id: number, defaults: { special: boolean }): AddedToken {
  const special = entry.at("special").boolean(defaults.special);
  return {
    content: entry.at("content").string(),
    id,
    single_word: entry.at("single_word").boolean(false),
    lstrip: entry.at("lstrip").boolean(false),
    rstrip: entry.at("rstrip").boolean(false),
    normalized: entry.at("normalized").boolean(!special),
    special,
  };
}

/** An added token without conditions, as transformers makes of a bare string. */
export function plainToken(content: string, id: number, special: boolean): AddedToken {
  return { content, id, single_word: false, lstrip: false, rstrip: false, normalized: !special, special };
}

/** text[start, end); `token` null = ordinary text. */
export interface Span {
  readonly start: number;
  readonly end: number;
  readonly token: AddedToken | null;
}

export class AddedTokenFinder {
  readonly #trie = new PrefixTrie();
  readonly #tokens: readonly AddedToken[];

  /** `spell` gives the form a token has in the text that will be searched. */
  constructor(tokens: readonly AddedToken[], spell: (token: AddedToken) => string) {
    this.#tokens = tokens;
    for (const [index, token] of tokens.entries()) {
      const spelling = spell(token);
      if (spelling !== "") this.#trie.insert(spelling, index);
    }
  }

  spans(text: string): Span[] {
    const spans: Span[] = [];
    let done = 0;
    for (let i = 0; i < text.length; ) {
      const match = this.#tokens.length === 0 ? null : this.#trie.longest(text, i);
      const token = match === null ? undefined : this.#tokens[match.value];
      if (match === null || token === undefined) {
        if (this.#tokens.length === 0) break;
        i += characterLength(text, i);
        continue;
      }
      if (!(token.single_word && touchesWord(text, i, match.end))) {
        const start = token.lstrip ? done + stripEnd(text.slice(done, i)).length : i;
        const end = token.rstrip ? text.length - stripStart(text.slice(match.end)).length : match.end;
        if (done < start) spans.push({ start: done, end: start, token: null });
        spans.push({ start, end, token });
        done = end;
      }
      i = Math.max(match.end, done);
    }
    if (done < text.length) spans.push({ start: done, end: text.length, token: null });
    return spans;
  }
}

const WORD = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]/u;

function touchesWord(text: string, start: number, end: number): boolean {
  const low = text.charCodeAt(start - 1);
  const before = text.slice(start - (low >= 0xdc00 && low < 0xe000 ? 2 : 1), start);
  const after = end < text.length ? text.slice(end, end + characterLength(text, end)) : "";
  return (start > 0 && WORD.test(before)) || WORD.test(after);
}
