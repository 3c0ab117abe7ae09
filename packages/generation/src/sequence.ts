import { ContextLengthError, OptionsError } from "./generation-error.ts";
import type { FinishReason, GenerationSink } from "./generation-stream.ts";
import { logitsProcessors } from "./logits/processors.ts";
import type { ResolvedOptions } from "./options.ts";
import type { Mark, Prompt } from "./prompt.ts";
import { RandomNumbers, randomSeed } from "./random.ts";
import { greedySampler, randomSampler, type Sampler } from "./sampler.ts";
import { StopStrings } from "./stop-strings.ts";

/** Turns ids into text; a tokenizer of @waggle/text does. */
export interface Detokenizer {
  decode(ids: Iterable<number>, options: { readonly skipSpecialTokens: boolean }): string;
  stream(options: { readonly skipSpecialTokens: boolean }): { push(id: number): string; end(): string };
}

/** Tokens of an answer for which neither the call nor the model's generation_config.json names a length. */
const defaultNewTokens = 512;

/** Special tokens are not part of an answer's text. */
const shown = { skipSpecialTokens: true };

/**
 * One request from its prompt to its last token: what was generated, what may be shown, and when it ends. Knows
 * nothing of caches and batches, so it cannot depend on who else is being served.
 */
export class Sequence {
  readonly prompt: Prompt;
  readonly #options: ResolvedOptions;
  readonly #sampler: Sampler;
  readonly #detokenizer: Detokenizer;
  readonly #pieces: ReturnType<Detokenizer["stream"]>;
  readonly #stops: StopStrings;
  readonly #sink: GenerationSink;
  readonly #maxLength: number;
  readonly #answer: number[] = [];
  /** What the rules look at: of the prompt what they may see, then the answer. */
  readonly #visible: number[];
  readonly #release: () => void;
  #text = "";
  #settled = false;
  #started = performance.now();
  #firstToken: number | null = null;
  #cachedTokens = 0;

  constructor(request: {
    readonly prompt: Prompt;
    readonly options: ResolvedOptions;
    readonly detokenizer: Detokenizer;
    readonly maxPositions: number;
    readonly visiblePrompt: readonly number[];
    readonly sink: GenerationSink;
    readonly signal: AbortSignal | undefined;
  }) {
    const { prompt, options, signal, visiblePrompt } = request;
    this.prompt = prompt;
    this.#options = options;
    this.#detokenizer = request.detokenizer;
    this.#pieces = request.detokenizer.stream(shown);
    this.#sink = request.sink;
    this.#maxLength = lengthLimit(prompt.ids.length, options, request.maxPositions);
    this.#visible = [...visiblePrompt];
    this.#stops = new StopStrings(options.stop_strings);
    const hidden = prompt.ids.length - visiblePrompt.length; // lengths count it all the same
    const processors = logitsProcessors(
      { ...options, min_length: Math.max(0, options.min_length - hidden) },
      { promptLength: visiblePrompt.length, maxLength: this.#maxLength - hidden },
    );
    this.#sampler = options.do_sample
      ? randomSampler(processors, new RandomNumbers(options.seed ?? randomSeed()))
      : greedySampler(processors);
    const abort = () => this.fail(signal?.reason);
    signal?.addEventListener("abort", abort, { once: true });
    this.#release = () => signal?.removeEventListener("abort", abort);
    if (signal?.aborted) abort();
  }

  get settled(): boolean {
    return this.#settled;
  }

  /** Everything so far, the answer included: what the cache will hold once all of it was computed. */
  get marks(): readonly Mark[] {
    return [...this.prompt.marks, ...this.#answer];
  }

  get lastId(): number {
    return this.#answer.at(-1) ?? 0;
  }

  /** The engine begins to compute; `cachedTokens` of the prompt need not be. */
  begin(cachedTokens: number): void {
    this.#started = performance.now();
    this.#cachedTokens = cachedTokens;
  }

  /** Chooses the next token from its logits and decides whether the answer is complete. */
  accept(logits: Float32Array): void {
    if (this.#settled) return;
    const id = this.#sampler.next(logits, this.#visible);
    this.#firstToken ??= performance.now();
    this.#answer.push(id);
    this.#visible.push(id);
    let text = this.#stops.push(this.#pieces.push(id));
    const reason = this.#reasonToEnd(id);
    if (reason) text += this.#rest();
    this.#text += text;
    this.#sink.token({ tokenId: id, text });
    if (reason) this.#finish(reason);
  }

  /** Ends with what there is. */
  stop(): void {
    if (!this.#settled) this.#finish("abort");
  }

  fail(error: unknown): void {
    if (this.#settled) return;
    this.#settle();
    this.#sink.fail(error);
  }

  #reasonToEnd(id: number): FinishReason | null {
    if (this.#options.eos_token_id.includes(id) || this.#stops.found !== null || this.#endsInStopWord()) return "stop";
    return this.prompt.ids.length + this.#answer.length >= this.#maxLength ? "length" : null;
  }

  #endsInStopWord(): boolean {
    return this.#options.stop_words_ids.some(
      (word) => word.length <= this.#answer.length && word.every((id, i) => id === this.#answer.at(i - word.length)),
    );
  }

  /** What was held back: half a character, half a stop string. */
  #rest(): string {
    return this.#stops.push(this.#pieces.end()) + this.#stops.end();
  }

  #finish(finishReason: FinishReason): void {
    this.#settle();
    const now = performance.now();
    const first = this.#firstToken ?? now;
    const promptTokens = this.prompt.ids.length;
    const tokenIds = [...this.#answer];
    this.#sink.finish({
      // All tokens at once, as the reference decodes them: bytes that never become a character may look different one by one.
      text: this.#stops.found === null ? this.#detokenizer.decode(tokenIds, shown) : this.#text,
      tokenIds,
      finishReason,
      usage: { promptTokens, completionTokens: tokenIds.length, cachedTokens: this.#cachedTokens },
      timings: { prefillMs: first - this.#started, decodeMs: now - first },
    });
  }

  #settle(): void {
    this.#settled = true;
    this.#release();
  }
}

/** How long prompt and answer together may become. */
function lengthLimit(promptTokens: number, { max_new_tokens, max_length }: ResolvedOptions, maxPositions: number): number {
  if (promptTokens >= maxPositions) throw new ContextLengthError(promptTokens, maxPositions);
  if (max_new_tokens === null && max_length !== null && max_length <= promptTokens) {
    throw new OptionsError([
      `max_length: ${max_length} counts the prompt too, which has ${promptTokens} tokens already; max_new_tokens counts the answer alone`,
    ]);
  }
  const wanted = max_new_tokens !== null ? promptTokens + max_new_tokens : (max_length ?? promptTokens + defaultNewTokens);
  return Math.min(wanted, maxPositions);
}
