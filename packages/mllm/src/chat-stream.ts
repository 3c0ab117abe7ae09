import type { GeneratedSequence, GenerationResult, GenerationStream } from "@waggle/generation";
import type { AnswerText } from "./dialect.ts";

/** The whole answer. Times in milliseconds; `loadMs` is the model's, and the same for every answer. */
export interface GenerateResult {
  readonly text: string;
  readonly tokenIds: readonly number[];
  readonly finishReason: GenerationResult["finishReason"];
  /** With beams: `num_return_sequences` answers and their scores, best first. The best one is the answer. */
  readonly sequences?: readonly GeneratedSequence[];
  readonly usage: { readonly promptTokens: number; readonly imageTokens: number; readonly completionTokens: number };
  readonly timings: { readonly loadMs: number; readonly encodeMs: number; readonly prefillMs: number; readonly decodeMs: number };
}

/** An answer that the engine has begun. */
export interface StartedAnswer {
  readonly tokens: GenerationStream;
  readonly imageTokens: number;
  readonly loadMs: number;
  readonly encodeMs: number;
  /** What of the generated text is the answer. Default: all of it. */
  readonly answer?: AnswerText | undefined;
  /** Called when the answer is over. */
  release(): void;
}

/**
 * An answer while it is made: iterate for its text, await `result` for the whole; both may be done. With beams the text
 * comes all at the end: only then is it known. Leaving the loop
 * and `stop()` end it with what there is ("abort"); the call's AbortSignal makes iteration and `result` throw its reason.
 */
export class ChatStream implements AsyncIterable<string> {
  readonly result: Promise<GenerateResult>;
  readonly #started: Promise<StartedAnswer>;

  constructor(started: Promise<StartedAnswer>) {
    this.#started = started;
    this.result = started.then(finish);
    this.result.catch(() => {}); // who only iterates learns of the error there
  }

  /** Ends the answer after the token that is being computed. */
  stop(): void {
    this.#started.then(({ tokens }) => tokens.stop()).catch(() => {});
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<string, void, undefined> {
    const { tokens, answer } = await this.#started;
    const shown = answer?.stream();
    for await (const { text } of tokens) {
      const piece = shown?.push(text) ?? text;
      if (piece !== "") yield piece;
    }
    const rest = shown?.end();
    if (rest) yield rest;
  }
}

async function finish({ tokens, imageTokens, loadMs, encodeMs, answer, release }: StartedAnswer): Promise<GenerateResult> {
  try {
    const { text, tokenIds, finishReason, sequences, usage, timings } = await tokens.result;
    const { promptTokens, completionTokens } = usage;
    const whole = (generated: string) => answer?.whole(generated) ?? generated;
    return {
      text: whole(text),
      tokenIds,
      finishReason,
      ...(sequences && { sequences: sequences.map((sequence) => ({ ...sequence, text: whole(sequence.text) })) }),
      usage: { promptTokens, imageTokens, completionTokens },
      timings: { loadMs, encodeMs, ...timings },
    };
  } finally {
    release();
  }
}
