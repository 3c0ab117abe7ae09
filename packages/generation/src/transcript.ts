import { StopStrings } from "./stop-strings.ts";

/** Turns ids into text; a tokenizer of @waggle/text does. */
export interface Detokenizer {
  decode(ids: Iterable<number>, options: { readonly skipSpecialTokens: boolean }): string;
  stream(options: { readonly skipSpecialTokens: boolean }): { push(id: number): string; end(): string };
}

/** Special tokens are not part of an answer's text. */
const shown = { skipSpecialTokens: true };

/** The text of one answer, token by token, up to a stop string. */
export class Transcript {
  readonly #detokenizer: Detokenizer;
  readonly #pieces: ReturnType<Detokenizer["stream"]>;
  readonly #stops: StopStrings;
  #text = "";

  constructor(detokenizer: Detokenizer, stopStrings: readonly string[]) {
    this.#detokenizer = detokenizer;
    this.#pieces = detokenizer.stream(shown);
    this.#stops = new StopStrings(stopStrings);
  }

  /** Is there a stop string, so that the text is complete? */
  get stopped(): boolean {
    return this.#stops.found !== null;
  }

  /** Takes the next token; returns what may be shown of the text. */
  push(id: number): string {
    return this.#show(this.#stops.push(this.#pieces.push(id)));
  }

  /** What was held back: half a character, half a stop string. */
  end(): string {
    return this.#show(this.#stops.push(this.#pieces.end()) + this.#stops.end());
  }

  /**
   * The text of all tokens that were pushed. They are decoded at once, as the reference does: bytes that never become a
   * character may look different one by one.
   */
  whole(ids: readonly number[]): string {
    return this.stopped ? this.#text : this.#detokenizer.decode(ids, shown);
  }

  #show(text: string): string {
    this.#text += text;
    return text;
  }
}
