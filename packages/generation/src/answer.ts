import { ContextLengthError, OptionsError } from "./generation-error.ts";
import type { FinishReason, GeneratedSequence, GenerationSink } from "./generation-stream.ts";
import type { LogitsProcessor } from "./logits/logits-processor.ts";
import { logitsProcessors } from "./logits/processors.ts";
import type { ResolvedOptions } from "./options.ts";
import type { Mark, Prompt } from "./prompt.ts";
import { semantics } from "./semantics.ts";
import type { Detokenizer } from "./transcript.ts";

/** Tokens of an answer for which neither the call nor the model's generation_config.json names a length. */
const defaultNewTokens = 512;

export interface AnswerRequest {
  readonly prompt: Prompt;
  readonly options: ResolvedOptions;
  readonly detokenizer: Detokenizer;
  readonly maxPositions: number;
  /** What the rules that look at ids see of the prompt. */
  readonly visiblePrompt: readonly number[];
  readonly sink: GenerationSink;
  readonly signal: AbortSignal | undefined;
}

/**
 * One request from its prompt to its last token: what was generated, what may be shown, and when it ends. Knows
 * nothing of caches and batches, so it cannot depend on who else is being served.
 */
export abstract class Answer {
  readonly prompt: Prompt;
  /** Rows of the cache that it takes. The prompt is computed in the first. */
  readonly rows: number;
  protected readonly options: ResolvedOptions;
  protected readonly detokenizer: Detokenizer;
  protected readonly sink: GenerationSink;
  protected readonly visiblePrompt: readonly number[];
  protected readonly processors: readonly LogitsProcessor[];
  /** Tokens that the answer may have. */
  protected readonly maxNewTokens: number;
  readonly #release: () => void;
  #settled = false;
  #started = performance.now();
  #firstToken: number | null = null;
  #cachedTokens = 0;

  constructor({ prompt, options, detokenizer, maxPositions, visiblePrompt, sink, signal }: AnswerRequest, rows: number) {
    this.prompt = prompt;
    this.rows = rows;
    this.options = options;
    this.detokenizer = detokenizer;
    this.sink = sink;
    this.visiblePrompt = visiblePrompt;
    const hidden = prompt.ids.length - visiblePrompt.length;
    const { maxLengthCountsIt, minLengthCountsIt } = semantics[options.semantics];
    // Where the prompt does not count, a BOS that these releases put in its place does.
    const counted = maxLengthCountsIt ? prompt.ids.length : Math.max(1, visiblePrompt.length);
    this.maxNewTokens = lengthLimit(prompt.ids.length, counted, options, maxPositions);
    this.processors = logitsProcessors(
      { ...options, min_length: minLengthCountsIt ? Math.max(0, options.min_length - hidden) : options.min_length },
      { promptLength: visiblePrompt.length, maxLength: visiblePrompt.length + this.maxNewTokens },
    );
    const abort = () => this.fail(signal?.reason);
    signal?.addEventListener("abort", abort, { once: true });
    this.#release = () => signal?.removeEventListener("abort", abort);
    if (signal?.aborted) abort();
  }

  get settled(): boolean {
    return this.#settled;
  }

  /** The engine begins to compute; `cachedTokens` of the prompt need not be. */
  begin(cachedTokens: number): void {
    this.#started = performance.now();
    this.#cachedTokens = cachedTokens;
  }

  /**
   * Chooses the next tokens from the logits of each row (of the first one alone, right after the prompt) and decides
   * whether the answer is complete. Returns for each row which one it goes on from; null if each from itself.
   */
  accept(logits: readonly Float32Array[]): readonly number[] | null {
    if (this.#settled) return null;
    const parents = this.choose(logits);
    this.#firstToken ??= performance.now();
    return this.#settled ? null : parents;
  }

  /** What a row is fed next. */
  abstract lastId(row: number): number;

  /** Everything so far, the answer included: what a row of the cache holds once all of it was computed. */
  abstract marks(row: number): readonly Mark[];

  /** Ends with what there is. */
  stop(): void {
    if (!this.#settled) this.conclude("abort");
  }

  fail(error: unknown): void {
    if (this.#settled) return;
    this.#settle();
    this.sink.fail(error);
  }

  protected abstract choose(logits: readonly Float32Array[]): readonly number[] | null;

  /** Makes the result of what there is. */
  protected abstract conclude(reason: FinishReason): void;

  protected finish({ text, tokenIds, finishReason }: Omit<GeneratedSequence, "score">, sequences?: readonly GeneratedSequence[]): void {
    this.#settle();
    const now = performance.now();
    const first = this.#firstToken ?? now;
    this.sink.finish({
      text,
      tokenIds,
      finishReason,
      ...(sequences && { sequences }),
      usage: { promptTokens: this.prompt.ids.length, completionTokens: tokenIds.length, cachedTokens: this.#cachedTokens },
      timings: { prefillMs: first - this.#started, decodeMs: now - first },
    });
  }

  #settle(): void {
    this.#settled = true;
    this.#release();
  }
}

/** Does the sequence end in one of these words? */
export function endsIn(ids: readonly number[], words: readonly (readonly number[])[]): boolean {
  return words.some((word) => word.length <= ids.length && word.every((id, i) => id === ids.at(i - word.length)));
}

/** How many tokens the answer may have; of the prompt's tokens max_length counts `counted`. */
function lengthLimit(promptTokens: number, counted: number, { max_new_tokens, max_length }: ResolvedOptions, maxPositions: number): number {
  if (promptTokens >= maxPositions) throw new ContextLengthError(promptTokens, maxPositions);
  if (max_new_tokens === null && max_length !== null && max_length <= counted) {
    throw new OptionsError([
      `max_length: ${max_length} counts the prompt too, which has ${counted} tokens already; max_new_tokens counts the answer alone`,
    ]);
  }
  const wanted = max_new_tokens ?? (max_length !== null ? max_length - counted : defaultNewTokens);
  return Math.min(wanted, maxPositions - promptTokens);
}
