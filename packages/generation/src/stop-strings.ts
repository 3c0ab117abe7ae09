/**
 * Watches a stream of text for stop strings and holds back whatever might become one, so that no part of a stop
 * string is ever emitted. The stop string that is complete first wins (of two complete at the same character, the
 * longer), which makes the result the same however the text is cut into pieces.
 */
export class StopStrings {
  readonly #stops: readonly string[];
  #held = "";
  #found: string | null = null;

  constructor(stops: readonly string[]) {
    this.#stops = stops;
  }

  /** The stop string that ended the text, or null. */
  get found(): string | null {
    return this.#found;
  }

  /** Takes the next piece; returns what may be shown. After a stop string: nothing any more. */
  push(piece: string): string {
    if (this.#found !== null) return "";
    const text = this.#held + piece;
    const hit = this.#earliest(text);
    if (hit) {
      this.#found = hit.stop;
      this.#held = "";
      return text.slice(0, hit.start);
    }
    const keep = this.#beginningOfStop(text);
    this.#held = text.slice(text.length - keep);
    return text.slice(0, text.length - keep);
  }

  /** The text is over: what was held back was no stop string after all. */
  end(): string {
    const rest = this.#held;
    this.#held = "";
    return rest;
  }

  #earliest(text: string): { stop: string; start: number } | null {
    let best: { stop: string; start: number; end: number } | null = null;
    for (const stop of this.#stops) {
      const start = text.indexOf(stop);
      if (start < 0) continue;
      const end = start + stop.length;
      if (best === null || end < best.end || (end === best.end && start < best.start)) best = { stop, start, end };
    }
    return best;
  }

  /** Length of the longest end of `text` with which some stop string begins. */
  #beginningOfStop(text: string): number {
    let longest = 0;
    for (const stop of this.#stops) {
      for (let length = Math.min(stop.length - 1, text.length); length > longest; length--) {
        if (stop.startsWith(text.slice(text.length - length))) longest = length;
      }
    }
    return longest;
  }
}
