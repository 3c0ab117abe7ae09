/**
 * SentencePiece's way from pieces to text: `▁` is a space, but not at the beginning; byte pieces gather into characters,
 * a byte that belongs to none is U+FFFD.
 * reference  sentencepiece `SentencePieceProcessor::Decode`
 */
import type { DecoderRun } from "../pipeline/decoders.ts";
import { byteOfToken, fromValidUtf8 } from "../utf8.ts";
import { Kind, type SentencePieceModel } from "./model-file.ts";
import { SPACE } from "./text-normalizer.ts";

export function pieceDecoder(model: SentencePieceModel): DecoderRun {
  const { vocabulary, kinds, unknown, unknownSurface, addDummyPrefix, removeExtraSpaces } = model;
  const bytes: number[] = [];
  let atStart = addDummyPrefix || removeExtraSpaces; // a leading space may still have to go

  const surface = (piece: string, id: number): string => {
    if (kinds[id] === Kind.CONTROL) return "";
    if (id === unknown) return vocabulary.token(id) === piece ? unknownSurface : piece;
    const led = atStart && piece.startsWith(SPACE);
    if (led && !removeExtraSpaces) atStart = false;
    return (led ? piece.slice(SPACE.length) : piece).replaceAll(SPACE, " ");
  };

  return {
    push(piece) {
      const id = vocabulary.id(piece) ?? unknown;
      let text = "";
      if (kinds[id] === Kind.BYTE) {
        bytes.push(byteOfToken(piece));
        text = takeCharacters(bytes, false);
      } else {
        text = takeCharacters(bytes, true);
        if (text !== "") atStart = false;
        text += surface(piece, id);
      }
      if (text !== "") atStart = false;
      return [text];
    },
    end: () => [takeCharacters(bytes, true)],
    open: () => bytes.length > 0,
  };
}

/** Removes whole and impossible characters from the front of `bytes`; `all` = nothing will follow. */
function takeCharacters(bytes: number[], all: boolean): string {
  let text = "";
  while (bytes.length > 0) {
    const length = announcedLength(bytes[0] as number);
    if (bytes.length < length && !all && bytes.slice(1).every(isContinuation)) break;
    const character = length === 0 || bytes.length < length ? null : fromValidUtf8(Uint8Array.from(bytes.slice(0, length)));
    text += character ?? "\ufffd";
    bytes.splice(0, character === null ? 1 : length);
  }
  return text;
}

/** How many bytes a character takes that begins with `byte`; 0 if none does. */
function announcedLength(byte: number): number {
  if (byte < 0x80) return 1;
  if (byte < 0xc2 || byte > 0xf4) return 0;
  return byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
}

function isContinuation(byte: number): boolean {
  return byte >= 0x80 && byte < 0xc0;
}
