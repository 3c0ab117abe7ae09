import { Answer, type AnswerRequest, endsIn } from "./answer.ts";
import type { FinishReason } from "./generation-stream.ts";
import type { Mark } from "./prompt.ts";
import { RandomNumbers, randomSeed } from "./random.ts";
import { greedySampler, randomSampler, type Sampler } from "./sampler.ts";
import { Transcript } from "./transcript.ts";

/** An answer that is one sequence of tokens, each chosen for good and shown at once. */
export class Sequence extends Answer {
  readonly #sampler: Sampler;
  readonly #transcript: Transcript;
  readonly #answer: number[] = [];
  /** What the rules look at: of the prompt what they may see, then the answer. */
  readonly #visible: number[];

  constructor(request: AnswerRequest) {
    super(request, 1);
    const { options, detokenizer, visiblePrompt } = request;
    this.#visible = [...visiblePrompt];
    this.#transcript = new Transcript(detokenizer, options.stop_strings);
    this.#sampler = options.do_sample
      ? randomSampler(this.processors, new RandomNumbers(options.seed ?? randomSeed()))
      : greedySampler(this.processors);
  }

  override marks(): readonly Mark[] {
    return [...this.prompt.marks, ...this.#answer];
  }

  override lastId(): number {
    return this.#answer.at(-1) ?? 0;
  }

  protected override choose([logits]: readonly Float32Array[]): null {
    if (!logits) return null;
    const id = this.#sampler.next(logits, this.#visible);
    this.#answer.push(id);
    this.#visible.push(id);
    let text = this.#transcript.push(id);
    const reason = this.#reasonToEnd(id);
    if (reason) text += this.#transcript.end();
    this.sink.token({ tokenId: id, text });
    if (reason) this.conclude(reason);
    return null;
  }

  protected override conclude(finishReason: FinishReason): void {
    const tokenIds = [...this.#answer];
    this.finish({ text: this.#transcript.whole(tokenIds), tokenIds, finishReason });
  }

  #reasonToEnd(id: number): FinishReason | null {
    const { eos_token_id, stop_words_ids } = this.options;
    if (eos_token_id.includes(id) || this.#transcript.stopped || endsIn(this.#answer, stop_words_ids)) return "stop";
    return this.#answer.length >= this.maxNewTokens ? "length" : null;
  }
}
