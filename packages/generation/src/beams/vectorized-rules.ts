import { type BeamFacts, type BeamRules, best, type Candidate, type Hypothesis, outOfTheRunning } from "./beam-rules.ts";

/** A place among the finished answers; an empty one counts as the worst possible score. */
interface Place extends Hypothesis {
  readonly taken: boolean;
}

/**
 * The beam search of transformers 5, in float32 as there. Every candidate that is complete, be it by length, may become
 * one of the answers, if it is among the first `num_beams`; the others only see to it that enough beams go on.
 */
export class VectorizedRules implements BeamRules {
  readonly #facts: BeamFacts;
  #places: readonly Place[];
  /** Could a beam still become better than the worst finished answer? Once it cannot, it never can. */
  #improvable = true;

  constructor(facts: BeamFacts) {
    this.#facts = facts;
    this.#places = Array.from({ length: facts.num_beams }, () => ({ ids: [], score: Math.fround(outOfTheRunning), taken: false }));
  }

  get finished(): readonly Hypothesis[] {
    return this.#places.filter(({ taken }) => taken).map(({ ids, score }) => ({ ids, score }));
  }

  advance(candidates: readonly Candidate[]): readonly Candidate[] | null {
    const { num_beams, ends, allEnd, maxNewTokens, early_stopping } = this.#facts;
    const length = candidates[0]?.ids.length ?? 0;
    const complete = candidates.map(({ ids }) => ends(ids));
    const running = best(
      candidates.map((candidate, i) => (complete[i] ? { ...candidate, score: Math.fround(candidate.score + outOfTheRunning) } : candidate)),
      num_beams,
    );
    const over = length >= maxNewTokens || allEnd(running.map(({ ids }) => ids));
    const ended = complete.map((one) => one || over);
    this.#finish(candidates.filter((_, i) => i < num_beams && ended[i]));
    const worst = Math.min(...this.#places.map(({ score }) => score));
    const attainable = this.#normalized(running[0]?.score ?? outOfTheRunning, this.#longest(length));
    this.#improvable &&= this.#places.some(({ taken }) => attainable > (taken ? worst : outOfTheRunning));
    const enough = early_stopping === true && this.#full;
    return this.#improvable && !enough && !ended.every(Boolean) ? running : null;
  }

  get #full(): boolean {
    return this.#places.every(({ taken }) => taken);
  }

  /** Lets the newly complete answers compete for the places. */
  #finish(complete: readonly Candidate[]): void {
    const closed = !this.#improvable || (this.#facts.early_stopping === true && this.#full);
    if (closed) return;
    const found = complete.map(({ ids, score }) => ({ ids, score: this.#normalized(score, ids.length), taken: true }));
    this.#places = best([...this.#places, ...found], this.#facts.num_beams);
  }

  /** The length at which a beam's score is taken for the best that it can still become. */
  #longest(length: number): number {
    const { early_stopping, length_penalty, maxNewTokens } = this.#facts;
    return early_stopping === "never" && length_penalty > 0 ? maxNewTokens : length;
  }

  #normalized(score: number, length: number): number {
    return Math.fround(score / length ** this.#facts.length_penalty);
  }
}
