/**
 * Pre-tokenizers of a tokenizer.json: cut a text into the pieces that the model sees one by one.
 * reference  tokenizers `pre_tokenizers::*`
 */
import type { JsonEntry } from "../json-entry.ts";
import { characterLength } from "../utf8.ts";
import { bytesToCharacters } from "./byte-level.ts";
import { parseMetaspace } from "./metaspace.ts";
import { literalPattern, type Pattern, parsePattern, pattern } from "./pattern.ts";
import { parseSequence } from "./sequence.ts";
import { SPLIT_BEHAVIORS, type SplitBehavior, split } from "./split.ts";

/** A piece of text; `first` = nothing of the original text stands before it. */
export interface Piece {
  readonly text: string;
  readonly first: boolean;
}

/** The pieces that come out are never empty. */
export type PreTokenizer = (piece: Piece) => readonly Piece[];

export function parsePreTokenizer(entry: JsonEntry, depth = 0): PreTokenizer {
  const type = entry.at("type").string();
  switch (type) {
    case "Sequence": {
      const parts = parseSequence(entry, "pretokenizers", depth, parsePreTokenizer);
      return (piece) => parts.reduce<readonly Piece[]>((pieces, part) => pieces.flatMap(part), [piece]);
    }
    case "BertPreTokenizer":
      return (piece) => splitter(SPACE, "Removed")(piece).flatMap(splitter(PUNCTUATION, "Isolated"));
    case "ByteLevel":
      return byteLevel(entry);
    case "CharDelimiterSplit":
      return splitter(literalPattern(entry.at("delimiter").character()), "Removed");
    case "Metaspace":
      return parseMetaspace(entry).split;
    case "Whitespace":
      return splitter(WORD_OR_SYMBOLS, "Removed", true);
    case "WhitespaceSplit":
      return splitter(SPACE, "Removed");
    case "Split":
      return splitter(parsePattern(entry.at("pattern")), entry.at("behavior").choice(SPLIT_BEHAVIORS), entry.at("invert").boolean(false));
    case "Punctuation":
      return splitter(PUNCTUATION, entry.at("behavior").choice(SPLIT_BEHAVIORS, "Isolated"));
    case "Digits":
      return splitter(DIGIT, entry.at("individual_digits").boolean(false) ? "Isolated" : "Contiguous");
    case "FixedLength":
      return fixedLength(entry.at("length").integer(5, 1));
    default:
      throw entry.at("type").error(`pre-tokenizer ${JSON.stringify(type)} is not supported; supported: ${SUPPORTED}`, "unsupported");
  }
}

const SUPPORTED =
  "Sequence, BertPreTokenizer, ByteLevel, CharDelimiterSplit, Metaspace, Whitespace, WhitespaceSplit, Split, Punctuation, Digits, FixedLength";

const SPACE = pattern(/\p{White_Space}/gu);
const PUNCTUATION = pattern(/[!-/:-@[-`{-~\p{P}]/gu);
const DIGIT = pattern(/\p{N}/gu);
const WORD_OR_SYMBOLS = pattern(
  /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]+|[^\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}\p{White_Space}]+/gu,
);
const GPT2 = pattern(
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu,
);

function splitter(by: Pattern, behavior: SplitBehavior, invert = false): PreTokenizer {
  return (piece) => split(piece, by(piece.text), behavior, invert);
}

function byteLevel(entry: JsonEntry): PreTokenizer {
  const addSpace = entry.at("add_prefix_space").boolean(true);
  const cut = entry.at("use_regex").boolean(true) ? splitter(GPT2, "Isolated") : (piece: Piece) => [piece];
  return ({ text, first }) => {
    if (text === "") return [];
    const pieces = cut({ text: addSpace && !text.startsWith(" ") ? ` ${text}` : text, first });
    return pieces.map((piece) => ({ text: bytesToCharacters(piece.text), first: piece.first }));
  };
}

function fixedLength(length: number): PreTokenizer {
  return ({ text, first }) => {
    const pieces: Piece[] = [];
    for (let start = 0; start < text.length; ) {
      let end = start;
      for (let n = 0; n < length && end < text.length; n++) end += characterLength(text, end);
      pieces.push({ text: text.slice(start, end), first: first && start === 0 });
      start = end;
    }
    return pieces;
  };
}
