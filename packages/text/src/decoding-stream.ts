import type { DecoderRun } from "./pipeline/decoders.ts";
import type { TokenStream } from "./tokenizer.ts";

/**
 * A stream over a decoder run. Text is held back while the bytes of a character are incomplete or while it ends with
 * U+FFFD, which is what an incomplete character looks like; so nothing that was given out has to be taken back.
 * `spell` gives a token's spelling, null for one that is left out.
 */
export function decodingStream(run: DecoderRun, spell: (id: number) => string | null): TokenStream {
  let held = "";
  return {
    push(id) {
      const token = spell(id);
      if (token !== null) held += run.push(token).join("");
      if (held === "" || held.endsWith("\ufffd") || run.open?.()) return "";
      const text = held;
      held = "";
      return text;
    },
    end() {
      const text = held + run.end().join("");
      held = "";
      return text;
    },
  };
}
