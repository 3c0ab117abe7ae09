/** One generated token. `text` is what may be shown now: empty while a character or a possible stop string is incomplete. */
export interface TokenEvent {
  readonly tokenId: number;
  readonly text: string;
}

export type FinishReason = "stop" | "length" | "abort";

/** One of the answers that a beam search found. */
export interface GeneratedSequence {
  readonly text: string;
  readonly tokenIds: readonly number[];
  readonly finishReason: FinishReason;
  /** The sum of the tokens' log-probabilities, divided by their number to the power of length_penalty. */
  readonly score: number;
}

export interface GenerationResult {
  readonly text: string;
  readonly tokenIds: readonly number[];
  readonly finishReason: FinishReason;
  /** With beams: `num_return_sequences` answers, best first. The best one is the answer. */
  readonly sequences?: readonly GeneratedSequence[];
  readonly usage: {
    readonly promptTokens: number;
    readonly completionTokens: number;
    /** Prompt tokens whose keys and values were still there from an earlier request. */
    readonly cachedTokens: number;
  };
  readonly timings: { readonly prefillMs: number; readonly decodeMs: number };
}

/**
 * An answer while it is made. Iterate for the tokens, await `result` for the whole; both may be done. Tokens come one by
 * one, with beams all at the end: only then is it known which they are.
 *
 * There are two ways to end early. `stop()`, or leaving the loop, is a wish: `result` resolves with what there is and
 * finish reason "abort". The request's AbortSignal is an order: iteration throws and `result` rejects with its reason.
 */
export class GenerationStream implements AsyncIterable<TokenEvent> {
  readonly result: Promise<GenerationResult>;
  readonly #onStop: () => void;
  readonly #events: TokenEvent[] = [];
  #end: { readonly error: unknown } | "finished" | null = null;
  #wake: () => void = () => {};

  /** `start` gets the writing end and returns what `stop()` does. */
  constructor(start: (sink: GenerationSink) => () => void) {
    let resolve: (result: GenerationResult) => void = () => {};
    let reject: (error: unknown) => void = () => {};
    this.result = new Promise((...settle) => ([resolve, reject] = settle));
    this.result.catch(() => {}); // who only iterates learns of the error there
    this.#onStop = start({
      token: (event) => {
        this.#events.push(event);
        this.#wake();
      },
      finish: (result) => {
        this.#close("finished");
        resolve(result);
      },
      fail: (error) => {
        this.#close({ error });
        reject(error);
      },
    });
  }

  /** Ends the answer after the token that is being computed. */
  stop(): void {
    this.#onStop();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<TokenEvent, void, undefined> {
    try {
      for (;;) {
        const event = this.#events.shift();
        if (event) yield event;
        else if (this.#end === "finished") return;
        else if (this.#end) throw this.#end.error;
        else await new Promise<void>((resolve) => (this.#wake = resolve));
      }
    } finally {
      this.stop();
    }
  }

  #close(end: { readonly error: unknown } | "finished"): void {
    this.#end = end;
    this.#wake();
  }
}

/** The engine's end of a stream. */
export interface GenerationSink {
  token(event: TokenEvent): void;
  finish(result: GenerationResult): void;
  fail(error: unknown): void;
}
