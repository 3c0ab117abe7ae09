/**
 * The precompiled character map of SentencePiece (nmt_nfkc and the like): a double-array trie over UTF-8 from strings
 * to replacements. Two programs read it differently, and tokenizers depend on both:
 *
 *     SentencePiece   the longest rule that matches at each position
 *     tokenizers      grapheme by grapheme (shorter than 6 bytes), else character by character, and there the rule of
 *                     the *shortest* prefix stands for the whole
 *
 * layout     u32 size of the trie in bytes, the trie (u32 units), the replacements, each ended by a zero byte
 * reference  sentencepiece `Normalizer`, darts-clone; crate `spm_precompiled`
 */
import type { JsonEntry } from "./json-entry.ts";
import { characterLength, fromUtf8, utf8, utf8Length } from "./utf8.ts";

const LONGEST_GRAPHEME = 6;

export class CharacterMap {
  readonly #units: Uint32Array;
  readonly #replacements: Uint8Array;
  readonly #texts = new Map<number, string>();
  readonly #graphemes = new Intl.Segmenter("en", { granularity: "grapheme" });
  readonly #single = new Map<string, string | null>();

  /** Null if `bytes` is not a character map. */
  static read(bytes: Uint8Array): CharacterMap | null {
    if (bytes.length < 4) return null;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const size = view.getUint32(0, true);
    if (size === 0 || size % 4 !== 0 || 4 + size > bytes.length) return null;
    const units = Uint32Array.from({ length: size / 4 }, (_, i) => view.getUint32(4 + 4 * i, true));
    return new CharacterMap(units, bytes.slice(4 + size));
  }

  private constructor(units: Uint32Array, replacements: Uint8Array) {
    this.#units = units;
    this.#replacements = replacements;
  }

  /** As tokenizers does. */
  readonly normalizeGraphemes = (text: string): string => {
    let result = "";
    for (let i = 0; i < text.length; ) {
      const end = this.#asciiEnd(text, i);
      for (; i < end; i++) result += this.#character(text.charAt(i));
      const stop = mixedEnd(text, i);
      for (const { segment } of this.#graphemes.segment(text.slice(i, stop))) result += this.#grapheme(segment);
      i = stop;
    }
    return result;
  };

  /** As SentencePiece does: the replacement at `start` of the longest rule, and how many bytes it covers; null if none. */
  longest(bytes: Uint8Array, start: number): { readonly text: string; readonly length: number } | null {
    let found: { text: string; length: number } | null = null;
    this.#rules(bytes, start, (value, length) => {
      found = { text: this.#text(value), length };
      return true;
    });
    return found;
  }

  /** ASCII characters before the next one that may take part in a larger grapheme. */
  #asciiEnd(text: string, start: number): number {
    let i = start;
    while (i < text.length && text.charCodeAt(i) < 0x80 && text.charCodeAt(i) !== 0x0d) i++;
    return i > start && i < text.length ? i - 1 : i;
  }

  #grapheme(grapheme: string): string {
    if (utf8Length(grapheme) < LONGEST_GRAPHEME) {
      const whole = this.#transform(grapheme);
      if (whole !== null) return whole;
    }
    let result = "";
    for (let i = 0; i < grapheme.length; ) {
      const length = characterLength(grapheme, i);
      result += this.#character(grapheme.slice(i, i + length));
      i += length;
    }
    return result;
  }

  #character(character: string): string {
    return this.#transform(character) ?? character;
  }

  #transform(text: string): string | null {
    const known = this.#single.get(text);
    if (known !== undefined) return known;
    let result: string | null = null;
    this.#rules(utf8(text), 0, (value) => {
      result = this.#text(value);
      return false;
    });
    if (this.#single.size > 10_000) this.#single.clear();
    this.#single.set(text, result);
    return result;
  }

  /** Every rule that matches at `start`, shortest first, until `visit` says false. */
  #rules(bytes: Uint8Array, start: number, visit: (value: number, length: number) => boolean): void {
    const units = this.#units;
    let node = offset(units[0] as number);
    for (let i = start; i < bytes.length; i++) {
      const byte = bytes[i] as number;
      node ^= byte;
      const unit = units[node];
      if (unit === undefined || (unit & 0x800000ff) !== byte) return;
      node ^= offset(unit);
      const leaf = units[node];
      if ((unit & 0x100) !== 0 && leaf !== undefined && !visit(leaf & 0x7fffffff, i + 1 - start)) return;
    }
  }

  #text(start: number): string {
    const known = this.#texts.get(start);
    if (known !== undefined) return known;
    const end = this.#replacements.indexOf(0, start);
    const text = fromUtf8(this.#replacements.subarray(start, end === -1 ? this.#replacements.length : end));
    this.#texts.set(start, text);
    return text;
  }
}

function offset(unit: number): number {
  return (unit >>> 10) << ((unit & 0x200) >>> 6);
}

/** From a character that may join others up to the first place between two plain ASCII characters, a certain boundary. */
function mixedEnd(text: string, start: number): number {
  let i = start;
  for (; i < text.length; i++) {
    const [unit, before] = [text.charCodeAt(i), text.charCodeAt(i - 1)];
    if (i > start && unit < 0x80 && before < 0x80 && unit !== 0x0a && unit !== 0x0d) break;
  }
  return i;
}

/** The base64 form of tokenizer.json. */
export function parseCharacterMap(entry: JsonEntry): CharacterMap {
  const text = entry.string();
  const map = /^[A-Za-z0-9+/]*={0,2}$/.test(text) ? CharacterMap.read(Buffer.from(text, "base64")) : null;
  if (map === null) throw entry.error("expected a precompiled character map in base64", "invalid_model");
  return map;
}
