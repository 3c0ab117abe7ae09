/**
 * How the slow classes put text together: special tokens stand as they are, the pieces between them are decoded by
 * SentencePiece, each run on its own; tokens added without being special are set apart by spaces.
 * reference  transformers 4.36 `PreTrainedTokenizer._decode`, `convert_tokens_to_string`
 */
import type { DecoderRun } from "../pipeline/decoders.ts";
import { pythonStripEnd, pythonStripStart } from "../white-space.ts";
import type { Family } from "./families.ts";
import type { SentencePieceModel } from "./model-file.ts";
import { pieceDecoder } from "./piece-decoder.ts";

export interface ClassDecoderSettings {
  readonly model: SentencePieceModel;
  readonly family: Family;
  readonly legacy: boolean;
  /** Whether text before a special token has to wait for it. */
  readonly holdsRuns: boolean;
  isSpecial(token: string): boolean;
  /** Added, but not special. */
  isApart(token: string): boolean;
}

export function classDecoder(settings: ClassDecoderSettings): DecoderRun {
  let part = textPart(settings);
  let pieces = 0; // of the current part
  let written = false; // whether the current part has any text
  let parts = 0; // parts before the current one
  /** Parts are joined by a space; one that came to nothing has none. */
  const lead = (text: string): string => {
    if (text === "") return "";
    const space = !written && parts > 0 ? " " : "";
    written = true;
    return space + text;
  };
  const finishPart = (): string => {
    const text = lead(part.end().join(""));
    if (written) parts++;
    part = textPart(settings);
    pieces = 0;
    written = false;
    return text;
  };
  return {
    push(token) {
      if (!settings.isApart(token)) {
        pieces++;
        return [lead(part.push(token).join(""))];
      }
      const text = finishPart() + (parts > 0 ? " " : "") + token;
      parts++;
      return [text];
    },
    end() {
      const text = lead(part.end().join(""));
      return [pieces > 0 && !written && parts > 0 ? `${text} ` : text]; // the last part counts even if empty
    },
    open: () => part.open?.() ?? false,
  };
}

/**
 * `convert_tokens_to_string` over one run of tokens. A special token puts a space before the text that precedes it, so
 * where special tokens can come, that text waits for one.
 */
function textPart({ model, family, legacy, holdsRuns, isSpecial }: ClassDecoderSettings): DecoderRun {
  let run = pieceDecoder(model);
  let held = "";
  let first = true;
  let afterSpecial = false;
  const strip = family.stripsText ? textStripper() : (text: string) => text;
  return {
    push(token) {
      const piece = first ? family.firstPiece(token) : token;
      const begins = first;
      first = false;
      if (!isSpecial(piece)) {
        afterSpecial = false;
        const text = run.push(piece).join("");
        if (!holdsRuns) return [strip(text)];
        held += text;
        return [];
      }
      const space = !afterSpecial && family.spaceBeforeSpecial(legacy, begins) ? " " : "";
      const text = space + held + run.end().join("") + piece;
      held = "";
      afterSpecial = true;
      run = pieceDecoder(model);
      return [strip(text)];
    },
    end: () => [strip(held + run.end().join(""))],
    open: () => run.open?.() ?? false,
  };
}

/** Python's strip() over a text that comes in parts: white space waits for something to follow it. */
function textStripper(): (text: string) => string {
  let started = false;
  let held = "";
  return (text) => {
    const all = held + (started ? text : pythonStripStart(text));
    const kept = pythonStripEnd(all);
    held = all.slice(kept.length);
    started ||= kept !== "";
    return kept;
  };
}
