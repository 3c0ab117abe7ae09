import { Answer, type AnswerRequest, endsIn } from "../answer.ts";
import type { FinishReason, GeneratedSequence } from "../generation-stream.ts";
import type { Mark } from "../prompt.ts";
import { RandomNumbers, randomSeed } from "../random.ts";
import { unusable } from "../sampler.ts";
import { semantics } from "../semantics.ts";
import { Transcript } from "../transcript.ts";
import { type BeamFacts, type BeamRules, best, type Candidate, type Hypothesis, outOfTheRunning } from "./beam-rules.ts";
import { bestChoices, type Choice, drawnChoices } from "./candidates.ts";
import { ScorerRules } from "./scorer-rules.ts";
import { VectorizedRules } from "./vectorized-rules.ts";

/** A sequence that goes on: what a row of the cache holds, and the sum of its log-probabilities. */
interface Beam {
  readonly ids: readonly number[];
  readonly score: number;
}

/**
 * An answer that is looked for in `num_beams` sequences at once, each in a row of the cache. Which of them is the answer
 * is known at the end, so all tokens are shown then, and the whole text with the last of them.
 */
export class BeamSearch extends Answer {
  readonly #rules: BeamRules;
  readonly #random: RandomNumbers | null;
  /** All candidates of a step: enough that, whichever are complete, as many go on as there are beams. */
  readonly #candidates: number;
  /** At first only one is in the running, so that not all become the same. */
  #beams: readonly Beam[];

  constructor(request: AnswerRequest) {
    const { num_beams, do_sample, seed, eos_token_id } = request.options;
    super(request, num_beams);
    const oldDraws = do_sample && semantics[request.options.semantics].beams === "scorer"; // from beams that begin alike
    this.#candidates = Math.max(2, 1 + (oldDraws ? 0 : eos_token_id.length)) * num_beams;
    this.#random = do_sample ? new RandomNumbers(seed ?? randomSeed()) : null;
    this.#rules = this.#makeRules();
    this.#beams = Array.from({ length: num_beams }, (_, i) => ({ ids: [], score: i === 0 || oldDraws ? 0 : outOfTheRunning }));
  }

  override lastId(row: number): number {
    return this.#beams[row]?.ids.at(-1) ?? 0;
  }

  override marks(row: number): readonly Mark[] {
    return [...this.prompt.marks, ...(this.#beams[row]?.ids ?? [])];
  }

  protected override choose(logits: readonly Float32Array[]): readonly number[] | null {
    const scores = logits.map((row, i) => this.#logProbabilities(row, this.#beams[i]?.ids ?? []));
    const forked = logits.length === this.rows;
    const sums = this.#beams.map(({ score }, i) => scores[forked ? i : 0]?.map((logProbability) => logProbability + score));
    const rows = sums.filter((row) => row !== undefined);
    const choices = this.#random ? drawnChoices(rows, this.#candidates, this.#random) : bestChoices(rows, this.#candidates);
    const running = this.#rules.advance(choices.map((choice) => this.#candidate(choice)));
    if (!running) {
      this.conclude("stop"); // the beams stay as the cache holds them
      return null;
    }
    this.#beams = running;
    return running.map(({ beam }) => (forked ? beam : 0));
  }

  protected override conclude(reason: FinishReason): void {
    const { num_return_sequences } = this.options;
    const found = reason === "abort" ? this.#interrupted() : this.#rules.finished;
    const answers = found.slice(0, num_return_sequences).map((hypothesis) => this.#sequence(hypothesis, reason));
    const [first] = answers;
    if (!first) {
      this.fail(unusable(`no beam above ${outOfTheRunning} (length_penalty: ${this.options.length_penalty})`));
      return;
    }
    const { tokenIds, text } = first;
    for (const [i, tokenId] of tokenIds.entries()) this.sink.token({ tokenId, text: i === tokenIds.length - 1 ? text : "" });
    this.finish(first, answers);
  }

  #makeRules(): BeamRules {
    const { options, maxNewTokens, visiblePrompt } = this;
    const { eos_token_id, stop_words_ids } = options;
    const { beams, scoredLength } = semantics[options.semantics];
    const facts: BeamFacts = {
      ...options,
      maxNewTokens,
      ends: (ids) => eos_token_id.includes(ids.at(-1) ?? -1) || this.#stopped(ids),
      allEnd: (answers) => stop_words_ids.some((word) => answers.every((ids) => endsIn(ids, [word]))),
    };
    if (beams === "vectorized") return new VectorizedRules(facts);
    const counted = scoredLength === "whole" ? Math.max(1, visiblePrompt.length) : 0;
    return new ScorerRules({ ...facts, counted, endTokens: eos_token_id });
  }

  /** Is there a stop string in the text of these tokens? */
  #stopped(ids: readonly number[]): boolean {
    const { stop_strings } = this.options;
    if (stop_strings.length === 0) return false;
    const text = this.detokenizer.decode(ids, { skipSpecialTokens: true });
    return stop_strings.some((stop) => text.includes(stop));
  }

  /** Log-probabilities as the rules leave them; the row is used up. */
  #logProbabilities(row: Float32Array, ids: readonly number[]): Float32Array {
    const highest = row.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
    const sum = row.reduce((total, logit) => total + Math.exp(logit - highest), 0);
    const shift = highest + Math.log(sum);
    for (let id = 0; id < row.length; id++) row[id] = (row[id] ?? 0) - shift;
    const visible = [...this.visiblePrompt, ...ids];
    for (const processor of this.processors) processor.process(row, visible);
    return row;
  }

  #candidate({ beam, id, score }: Choice): Candidate {
    return { beam, ids: [...(this.#beams[beam]?.ids ?? []), id], score };
  }

  /** What there is when the search is broken off: finished answers, and beams as if they were. */
  #interrupted(): readonly Hypothesis[] {
    const { length_penalty, num_beams } = this.options;
    const beams = this.#beams.filter(({ score }) => score > outOfTheRunning / 2);
    const open = beams.map(({ ids, score }) => ({ ids, score: ids.length === 0 ? 0 : score / ids.length ** length_penalty }));
    return best([...this.#rules.finished, ...open], num_beams);
  }

  #sequence({ ids, score }: Hypothesis, reason: FinishReason): GeneratedSequence {
    const transcript = new Transcript(this.detokenizer, this.options.stop_strings);
    for (const id of ids) transcript.push(id);
    transcript.end();
    const { eos_token_id, stop_words_ids } = this.options;
    const complete = eos_token_id.includes(ids.at(-1) ?? -1) || transcript.stopped || endsIn(ids, stop_words_ids);
    const open = reason === "abort" ? reason : ids.length >= this.maxNewTokens ? "length" : "stop";
    return { text: transcript.whole(ids), tokenIds: ids, score, finishReason: complete ? "stop" : open };
  }
}
