/**
 * What SentencePiece does to a text before cutting it: character rules (longest first), spaces to `▁`, runs of spaces
 * to one, and a space in front. User-defined pieces are left as they are.
 * reference  sentencepiece `Normalizer::Normalize`
 */
import type { PrefixTrie } from "../prefix-trie.ts";
import { characterLength, utf8, utf8Length } from "../utf8.ts";
import type { SentencePieceModel } from "./model-file.ts";

export const SPACE = "▁";

export function normalizeText(text: string, model: SentencePieceModel, protectedPieces: PrefixTrie): string {
  const { addDummyPrefix, removeExtraSpaces, escapeSpaces, spaceAsSuffix } = model;
  const space = escapeSpaces ? SPACE : " ";
  const parts = replacements(text, model, protectedPieces);
  let start = 0;
  if (removeExtraSpaces) while (parts[start] === " ") start++;
  if (start === parts.length) return "";
  let result = addDummyPrefix && !spaceAsSuffix ? space : "";
  let afterSpace = removeExtraSpaces;
  for (let i = start; i < parts.length; i++) {
    let part = parts[i] as string;
    if (afterSpace) part = part.replace(/^ +/, "");
    if (part === "") continue;
    result += escapeSpaces ? part.replaceAll(" ", SPACE) : part;
    afterSpace = removeExtraSpaces && part.endsWith(" ");
  }
  if (removeExtraSpaces) while (result.endsWith(space)) result = result.slice(0, -space.length);
  return addDummyPrefix && spaceAsSuffix ? result + space : result;
}

/** The text in steps: a protected piece, what a character rule makes, or one character. */
function replacements(text: string, { characterMap }: SentencePieceModel, protectedPieces: PrefixTrie): string[] {
  const bytes = characterMap === null ? null : utf8(text);
  const parts: string[] = [];
  for (let i = 0, byte = 0; i < text.length; ) {
    const start = i;
    const piece = protectedPieces.longest(text, i);
    const rule = piece === null && bytes !== null ? (characterMap?.longest(bytes, byte) ?? null) : null;
    if (rule === null) i = piece?.end ?? i + characterLength(text, i);
    else
      for (let covered = 0; covered < rule.length; i += characterLength(text, i))
        covered += utf8Length(text.slice(i, i + characterLength(text, i)));
    parts.push(rule?.text ?? text.slice(start, i));
    byte += utf8Length(text.slice(start, i));
  }
  return parts;
}
