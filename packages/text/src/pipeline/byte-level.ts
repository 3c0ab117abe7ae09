/**
 * GPT-2's alphabet: every byte has a printable character (space is `Ġ`, newline `Ċ`), so that byte-pair encoding can
 * work on text. Printable ASCII and most of Latin-1 stand for themselves, the others are U+0100 and up, in order.
 */
import { utf8 } from "../utf8.ts";

const CHARACTERS: readonly string[] = alphabet();
const BYTES: ReadonlyMap<string, number> = new Map(CHARACTERS.map((character, byte) => [character, byte]));

function alphabet(): string[] {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    return String.fromCharCode(printable ? byte : next++);
  });
}

export function bytesToCharacters(text: string): string {
  if (/^[!-~]*$/.test(text)) return text;
  let result = "";
  for (const byte of utf8(text)) result += CHARACTERS[byte];
  return result;
}

/** The bytes a token stands for; a token with a character outside the alphabet stands for its own UTF-8. */
export function charactersToBytes(token: string): Uint8Array {
  const bytes = new Uint8Array(token.length);
  for (let i = 0; i < token.length; i++) {
    const byte = BYTES.get(token.charAt(i));
    if (byte === undefined) return utf8(token);
    bytes[i] = byte;
  }
  return bytes;
}
