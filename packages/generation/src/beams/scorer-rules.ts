import { type BeamFacts, type BeamRules, best, type Candidate, type Hypothesis, outOfTheRunning } from "./beam-rules.ts";

export interface ScorerFacts extends BeamFacts {
  /** Ids before the answer that count as its length too, an end token then not; 0 where the answer alone counts. */
  readonly counted: number;
  /** The first one closes every hypothesis that has room for it. */
  readonly endTokens: readonly number[];
}

/**
 * The beam search of transformers 4.30 to 4.38: BeamSearchScorer with its BeamHypotheses. A complete candidate among the
 * first `num_beams` becomes a hypothesis; the best others go on, and those that still do when length or stop words end the
 * search compete then.
 */
export class ScorerRules implements BeamRules {
  readonly #facts: ScorerFacts;
  #hypotheses: readonly Hypothesis[] = [];
  #worst = 1e9;

  constructor(facts: ScorerFacts) {
    this.#facts = facts;
  }

  /** Of equal ones the later first, as popping from a sorted list gives them. */
  get finished(): readonly Hypothesis[] {
    return best([...this.#hypotheses].reverse(), this.#hypotheses.length);
  }

  advance(candidates: readonly Candidate[]): readonly Candidate[] | null {
    const { num_beams, ends, allEnd, maxNewTokens } = this.#facts;
    const length = candidates[0]?.ids.length ?? 0;
    const ordered = best(candidates, candidates.length);
    const running: Candidate[] = [];
    for (const [rank, candidate] of ordered.entries()) {
      if (running.length === num_beams) break;
      if (!ends(candidate.ids)) running.push(candidate);
      else if (rank < num_beams) this.#add(candidate, length);
    }
    // Too few, which these releases do not allow: stop strings, or several end tokens, have ended too many at once.
    const ended = running.length < num_beams ? ordered.filter(({ ids }) => ends(ids)) : [];
    for (const candidate of ended.slice(0, num_beams - running.length)) {
      running.push({ ...candidate, score: candidate.score + outOfTheRunning });
    }
    if (this.#enough(ordered[0]?.score ?? outOfTheRunning, length)) return null;
    if (length < maxNewTokens && !allEnd(running.map(({ ids }) => ids))) return running;
    for (const candidate of running) this.#add(candidate, length);
    return null;
  }

  #add({ ids, score: sum }: Candidate, length: number): void {
    const { num_beams, endTokens, maxNewTokens, counted } = this.#facts;
    const [endToken] = endTokens;
    const open = endTokens.includes(ids.at(-1) ?? -1) ? ids.slice(0, -1) : ids;
    const score = this.#normalized(sum, counted > 0 ? open.length : length);
    if (this.#hypotheses.length >= num_beams && score <= this.#worst) return;
    const closed = open.length < maxNewTokens && endToken !== undefined ? [...open, endToken] : open;
    const all = [...this.#hypotheses, { ids: closed, score }];
    if (all.length <= num_beams) {
      this.#hypotheses = all;
      this.#worst = Math.min(score, this.#worst);
      return;
    }
    const [lowest, next] = [...all].sort((a, b) => a.score - b.score);
    this.#hypotheses = all.filter((hypothesis) => hypothesis !== lowest);
    this.#worst = next?.score ?? this.#worst;
  }

  /** Are there enough hypotheses, and can none of the beams become better than the worst of them? */
  #enough(highest: number, length: number): boolean {
    const { num_beams, early_stopping, length_penalty, maxNewTokens } = this.#facts;
    if (this.#hypotheses.length < num_beams) return false;
    if (early_stopping === true) return true;
    const longest = early_stopping === "never" && length_penalty > 0 ? maxNewTokens : length;
    return this.#worst >= this.#normalized(highest, longest);
  }

  #normalized(sum: number, length: number): number {
    return sum / (length + this.#facts.counted) ** this.#facts.length_penalty;
  }
}
