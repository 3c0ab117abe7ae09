/**
 * Normalizers of a tokenizer.json: text to text, before anything is split.
 * reference  tokenizers `normalizers::*`
 */

import { parseCharacterMap } from "../character-map.ts";
import type { JsonEntry } from "../json-entry.ts";
import { stripEnd, stripStart } from "../white-space.ts";
import { bytesToCharacters } from "./byte-level.ts";
import { parsePattern, replaceMatches } from "./pattern.ts";
import { parseSequence } from "./sequence.ts";

export interface Normalizer {
  normalize(text: string): string;
  /**
   * Whether `normalize` takes away what `text` begins with. Only Metaspace with prepend_scheme "first" asks: what follows
   * is then no longer the first thing of the text.
   */
  dropsStart(text: string): boolean;
}

export function parseNormalizer(entry: JsonEntry, depth = 0): Normalizer {
  const type = entry.at("type").string();
  switch (type) {
    case "Sequence":
      return sequence(parseSequence(entry, "normalizers", depth, parseNormalizer));
    case "BertNormalizer":
      return bert(entry);
    case "Strip":
      return strip(entry.at("strip_left").boolean(), entry.at("strip_right").boolean());
    case "StripAccents":
      return byCharacter((text) => text.replace(/\p{M}/gu, ""));
    case "NFC":
    case "NFD":
    case "NFKC":
    case "NFKD":
      return byCharacter((text) => text.normalize(type));
    case "Lowercase":
      return byCharacter(lowercase);
    case "Nmt":
      return byCharacter(nmt);
    case "Precompiled":
      // a start that the map takes away still counts as the start, in the reference
      return { normalize: parseCharacterMap(entry.at("precompiled_charsmap")).normalizeGraphemes, dropsStart: () => false };
    case "Replace":
      return replace(entry);
    case "Prepend": {
      const prepended = entry.at("prepend").string();
      return { normalize: (text) => (text === "" ? "" : prepended + text), dropsStart: () => false };
    }
    case "ByteLevel":
      return byCharacter(bytesToCharacters);
    default:
      throw entry.at("type").error(`normalizer ${JSON.stringify(type)} is not supported; supported: ${SUPPORTED}`, "unsupported");
  }
}

const SUPPORTED =
  "Sequence, BertNormalizer, Strip, StripAccents, NFC, NFD, NFKC, NFKD, Lowercase, Nmt, Precompiled, Replace, Prepend, ByteLevel";

/** A normalizer that treats every character alike: the start is dropped if the first character alone comes to nothing. */
function byCharacter(normalize: (text: string) => string): Normalizer {
  return {
    normalize,
    dropsStart: (text) => text !== "" && normalize(String.fromCodePoint(text.codePointAt(0) ?? 0)) === "",
  };
}

function sequence(parts: readonly Normalizer[]): Normalizer {
  return {
    normalize: (text) => parts.reduce((result, part) => part.normalize(result), text),
    dropsStart(text) {
      let current = text;
      return parts.some((part) => {
        const drops = part.dropsStart(current);
        current = part.normalize(current);
        return drops;
      });
    },
  };
}

function replace(entry: JsonEntry): Normalizer {
  const matches = parsePattern(entry.at("pattern"));
  const content = entry.at("content").string();
  return {
    normalize: (text) => replaceMatches(text, matches(text), content),
    dropsStart(text) {
      const [start, end] = matches(text);
      return content === "" && start === 0 && end !== 0;
    },
  };
}

function strip(left: boolean, right: boolean): Normalizer {
  return {
    normalize(text) {
      const trimmed = left ? stripStart(text) : text;
      return right ? stripEnd(trimmed) : trimmed;
    },
    dropsStart: (text) => left && stripStart(text) !== text,
  };
}

/** Character by character: JavaScript's own `toLowerCase` writes Σ at the end of a word as ς. */
function lowercase(text: string): string {
  return text.replaceAll("Σ", "σ").toLowerCase();
}

function bert(entry: JsonEntry): Normalizer {
  const clean = entry.at("clean_text").boolean(true);
  const splitChinese = entry.at("handle_chinese_chars").boolean(true);
  const lower = entry.at("lowercase").boolean(true);
  const accents = entry.at("strip_accents").boolean(lower);
  return byCharacter((text) => {
    let result = text;
    if (clean) result = result.replace(/(?![\t\n\r])[\ufffd\p{Cc}\p{Cf}\p{Co}]/gu, "").replace(/\p{White_Space}/gu, " ");
    if (splitChinese) result = result.replace(CHINESE, " $& ");
    if (accents) result = result.normalize("NFD").replace(/\p{Mn}/gu, "");
    return lower ? lowercase(result) : result;
  });
}

/** The blocks that BERT's authors call Chinese: the CJK ideographs, without kana and hangul. */
const CHINESE =
  /[\u4e00-\u9fff\u3400-\u4dbf\u{20000}-\u{2a6df}\u{2a700}-\u{2b73f}\u{2b740}-\u{2b81f}\u{2b920}-\u{2ceaf}\uf900-\ufaff\u{2f800}-\u{2fa1f}]/gu;

/** What the SentencePiece authors did for translation: control characters go, unusual spaces become a space. */
function nmt(text: string): string {
  return text.replace(/[\p{Cc}\u1680\u200b-\u200f\u2028\u2029\u2581\ufeff\ufffd]/gu, (character) => {
    const code = character.charCodeAt(0);
    if (code >= 0xa0 || "\t\n\f\r".includes(character)) return " ";
    const kept = code === 0 || (code >= 0x80 && code !== 0x8f && code !== 0x9f);
    return kept ? character : "";
  });
}
