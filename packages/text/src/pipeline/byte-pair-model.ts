/**
 * Byte-pair encoding: a piece is split into characters, neighbours are merged in the order of the merge list. A
 * character outside the vocabulary becomes its bytes (`byte_fallback`) or the unknown token (runs of it one, `fuse_unk`).
 * reference  tokenizers `BPE`
 */
import { describe, type JsonEntry } from "../json-entry.ts";
import { mergeSymbols, type SymbolMerges } from "../merge-symbols.ts";
import { byteToken, characterLength, utf8 } from "../utf8.ts";
import { Vocabulary } from "../vocabulary.ts";
import { MergeTable, type Seams } from "./merge-table.ts";
import type { TokenModel } from "./model.ts";

const CACHED_WORDS = 20_000;
const CACHED_LENGTH = 64;
const UNSEEN = -2;
const UNKNOWN = -1;

interface BytePairSettings {
  readonly unknown: number | null;
  readonly fuseUnknown: boolean;
  readonly byteFallback: boolean;
  readonly ignoreMerges: boolean;
  readonly prefix: string;
  readonly suffix: string;
}

export class BytePairModel implements TokenModel {
  readonly kind = "BPE";
  readonly vocabulary: Vocabulary;
  readonly #merges: MergeTable;
  readonly #settings: BytePairSettings;
  readonly #bytes: readonly (number | undefined)[];
  readonly #inner = new Int32Array(0x10000).fill(UNSEEN); // ids of BMP characters, looked up once
  readonly #cache = new Map<string, readonly number[]>();
  readonly #seams: Seams | null;

  constructor(vocabulary: Vocabulary, merges: MergeTable, settings: BytePairSettings) {
    this.vocabulary = vocabulary;
    this.#merges = merges;
    this.#settings = settings;
    this.#bytes = Array.from({ length: 256 }, (_, byte) => vocabulary.id(byteToken(byte)));
    // with a prefix or suffix a character's symbol depends on its place in the whole piece
    this.#seams = settings.prefix === "" && settings.suffix === "" ? merges.seams : null;
  }

  tokenize(piece: string, into: number[]): void {
    if (this.#settings.ignoreMerges) {
      const whole = this.vocabulary.id(piece);
      if (whole !== undefined) {
        into.push(whole);
        return;
      }
    }
    for (let start = 0; start < piece.length; ) {
      const end = this.#chunkEnd(piece, start);
      this.#tokenizeChunk(start === 0 && end === piece.length ? piece : piece.slice(start, end), into);
      start = end;
    }
  }

  /**
   * Pieces can be whole documents (Llama has no pre-tokenizer). Between two known characters that no merge brings
   * together, like a letter and `▁`, they come apart without any change to the result, and the parts repeat.
   */
  #chunkEnd(piece: string, start: number): number {
    if (this.#seams === null) return piece.length;
    for (let i = start + characterLength(piece, start), before = start; i < piece.length; i += characterLength(piece, i)) {
      const joins = this.#seams.joins(piece.charCodeAt(i - 1), piece.charCodeAt(i));
      if (!joins && this.#known(piece, before, i) && this.#known(piece, i, i + characterLength(piece, i))) return i;
      before = i;
    }
    return piece.length;
  }

  #known(piece: string, start: number, end: number): boolean {
    if (end - start > 1) return this.vocabulary.id(piece.slice(start, end)) !== undefined;
    return this.#plainCharacter(piece.charCodeAt(start)) !== UNKNOWN;
  }

  #tokenizeChunk(chunk: string, into: number[]): void {
    if (chunk.length > CACHED_LENGTH) {
      this.#merge(chunk, into);
      return;
    }
    let ids = this.#cache.get(chunk);
    if (ids === undefined) {
      const fresh: number[] = [];
      this.#merge(chunk, fresh);
      if (this.#cache.size >= CACHED_WORDS) this.#cache.clear();
      this.#cache.set(chunk, fresh);
      ids = fresh;
    }
    for (const id of ids) into.push(id);
  }

  #merge(piece: string, into: number[]): void {
    const symbols = this.#symbols(piece);
    if (symbols.length === 0) return;
    const table = this.#merges;
    const merges: SymbolMerges = {
      rank: (left, right) => table.rank(symbols[left] as number, symbols[right] as number),
      merge: (left, right) => {
        symbols[left] = table.merged(symbols[left] as number, symbols[right] as number);
      },
    };
    const next = mergeSymbols(symbols.length, merges);
    for (let i = 0; i !== -1; i = next[i] as number) into.push(symbols[i] as number);
  }

  #symbols(piece: string): number[] {
    const { unknown, fuseUnknown, byteFallback } = this.#settings;
    const symbols: number[] = [];
    let pending = false; // an unknown token that waits for more of its run
    for (let i = 0; i < piece.length; ) {
      const end = i + characterLength(piece, i);
      const id = this.#character(piece, i, end);
      if (id !== UNKNOWN) {
        if (pending) symbols.push(unknown as number);
        pending = false;
        symbols.push(id);
      } else if (!(byteFallback && this.#pushBytes(this.#spelled(piece, i, end), symbols)) && unknown !== null) {
        if (pending && !fuseUnknown) symbols.push(unknown);
        pending = true;
      }
      i = end;
    }
    if (pending) symbols.push(unknown as number);
    return symbols;
  }

  #pushBytes(character: string, symbols: number[]): boolean {
    const ids: number[] = [];
    for (const byte of utf8(character)) {
      const id = this.#bytes[byte];
      if (id === undefined) return false;
      ids.push(id);
    }
    symbols.push(...ids);
    return true;
  }

  /** The character as the vocabulary spells it at this place of the word. */
  #spelled(piece: string, start: number, end: number): string {
    const prefix = start > 0 ? this.#settings.prefix : "";
    return `${prefix}${piece.slice(start, end)}${end === piece.length ? this.#settings.suffix : ""}`;
  }

  #character(piece: string, start: number, end: number): number {
    const plain = (start === 0 || this.#settings.prefix === "") && (end < piece.length || this.#settings.suffix === "");
    if (!plain || end - start > 1) return this.vocabulary.id(this.#spelled(piece, start, end)) ?? UNKNOWN;
    return this.#plainCharacter(piece.charCodeAt(start));
  }

  #plainCharacter(unit: number): number {
    const seen = this.#inner[unit] as number;
    if (seen !== UNSEEN) return seen;
    const id = this.vocabulary.id(String.fromCharCode(unit)) ?? UNKNOWN;
    this.#inner[unit] = id;
    return id;
  }

  static parse(entry: JsonEntry): BytePairModel {
    const dropout = entry.at("dropout");
    if (dropout.present && dropout.value !== 0) {
      throw dropout.error("dropout makes encoding random, which is not supported; expected null or 0", "unsupported");
    }
    const vocabulary = Vocabulary.parse(entry.at("vocab"));
    const prefix = entry.at("continuing_subword_prefix").string("");
    return new BytePairModel(vocabulary, parseMerges(entry.at("merges"), vocabulary, prefix), {
      unknown: unknownId(entry, vocabulary),
      fuseUnknown: entry.at("fuse_unk").boolean(false),
      byteFallback: entry.at("byte_fallback").boolean(false),
      ignoreMerges: entry.at("ignore_merges").boolean(false),
      prefix,
      suffix: entry.at("end_of_word_suffix").string(""),
    });
  }
}

function unknownId(entry: JsonEntry, vocabulary: Vocabulary): number | null {
  const token = entry.at("unk_token");
  if (!token.present) return null;
  const id = vocabulary.id(token.string());
  if (id === undefined) throw token.error(`the unknown token ${JSON.stringify(token.value)} is not in model.vocab`, "invalid_reference");
  return id as number;
}

/** Merges in both spellings: `"a b"` and, since tokenizers 0.20, `["a", "b"]`. */
function parseMerges(entry: JsonEntry, vocabulary: Vocabulary, prefix: string): MergeTable {
  const list = entry.values();
  const table = new MergeTable(list.length);
  for (const [rank, merge] of list.entries()) {
    const pair = typeof merge === "string" ? merge.split(" ") : merge;
    const [left, right] = Array.isArray(pair) && pair.length === 2 ? (pair as readonly unknown[]) : [];
    if (typeof left !== "string" || typeof right !== "string") {
      throw entry.item(rank).error(`expected two tokens ("a b" or ["a", "b"]), got ${describe(merge)}`);
    }
    const result = left + (right.startsWith(prefix) ? right.slice(prefix.length) : right);
    const ids = [left, right, result].map((token) => vocabulary.id(token));
    const [leftId, rightId, resultId] = ids;
    if (leftId === undefined || rightId === undefined || resultId === undefined) {
      const missing = [left, right, result][ids.indexOf(undefined)];
      throw entry.item(rank).error(`token ${describe(missing)} is not in the vocabulary`, "invalid_reference");
    }
    table.set(leftId, rightId, rank, resultId);
    table.seams.add(left.charCodeAt(left.length - 1), right.charCodeAt(0));
  }
  return table;
}
