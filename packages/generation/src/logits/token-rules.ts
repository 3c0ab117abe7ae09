/** The rules that look at the ids so far: penalties, bans, forced tokens. Semantics of transformers' classes of the same name. */
import type { LogitsProcessor } from "./logits-processor.ts";

/** Adds a bias to the last token of a sequence wherever the sequence would be completed. */
export function sequenceBias(biases: readonly (readonly [sequence: readonly number[], bias: number])[]): LogitsProcessor {
  return {
    name: "SequenceBiasLogitsProcessor",
    process(scores, ids) {
      for (const [sequence, bias] of biases) {
        const last = sequence.at(-1);
        if (last === undefined || !endsWith(ids, sequence, sequence.length - 1)) continue;
        const score = scores[last];
        if (score !== undefined) scores[last] = score + bias;
      }
    },
  };
}

/** A token that already occurs: positive scores are divided, negative ones multiplied. */
export function repetitionPenalty(penalty: number): LogitsProcessor {
  return {
    name: "RepetitionPenaltyLogitsProcessor",
    process(scores, ids) {
      for (const id of new Set(ids)) {
        const score = scores[id];
        if (score !== undefined) scores[id] = score < 0 ? score * penalty : score / penalty;
      }
    },
  };
}

/** No n-gram may occur twice. */
export function noRepeatNGram(size: number): LogitsProcessor {
  return {
    name: "NoRepeatNGramLogitsProcessor",
    process(scores, ids) {
      for (let end = size - 1; end < ids.length; end++) {
        const banned = ids[end];
        if (banned !== undefined && sameTail(ids, end, size - 1)) remove(scores, banned);
      }
    },
  };
}

/** The last token of each sequence is banned where the sequence would be completed. An end token alone is never banned. */
export function noBadWords(words: readonly (readonly number[])[], eos: readonly number[]): LogitsProcessor {
  const allowed = words.filter((word) => !(word.length === 1 && eos.includes(word[0] ?? -1)));
  const { process } = sequenceBias(allowed.map((word) => [word, -Infinity]));
  return { name: "NoBadWordsLogitsProcessor", process };
}

/** No end token before prompt and answer have `length` tokens. */
export function minLength(length: number, eos: readonly number[]): LogitsProcessor {
  return { name: "MinLengthLogitsProcessor", process: (scores, ids) => (ids.length < length ? remove(scores, ...eos) : undefined) };
}

/** No end token before the answer has `length` tokens. */
export function minNewTokens(length: number, eos: readonly number[], promptLength: number): LogitsProcessor {
  return {
    name: "MinNewTokensLengthLogitsProcessor",
    process: (scores, ids) => (ids.length - promptLength < length ? remove(scores, ...eos) : undefined),
  };
}

/** The second token of the whole sequence is `token`. */
export function forcedBos(token: number): LogitsProcessor {
  return { name: "ForcedBOSTokenLogitsProcessor", process: (scores, ids) => (ids.length === 1 ? force(scores, [token]) : undefined) };
}

/** The last token that the length allows is one of `tokens`. */
export function forcedEos(tokens: readonly number[], maxLength: number): LogitsProcessor {
  return {
    name: "ForcedEOSTokenLogitsProcessor",
    process: (scores, ids) => (ids.length === maxLength - 1 ? force(scores, tokens) : undefined),
  };
}

/** NaN becomes 0, infinities become the largest finite numbers. */
export function removeInvalidValues(): LogitsProcessor {
  const largest = 3.4028234663852886e38; // the greatest float32
  return {
    name: "InfNanRemoveLogitsProcessor",
    process(scores) {
      for (const [i, score] of scores.entries()) {
        if (Number.isNaN(score)) scores[i] = 0;
        else if (!Number.isFinite(score)) scores[i] = Math.sign(score) * largest;
      }
    },
  };
}

/** From `start` answer tokens on, end tokens gain more with every token: |score| · (factorⁿ − 1). */
export function exponentialDecay(start: number, factor: number, eos: readonly number[], promptLength: number): LogitsProcessor {
  return {
    name: "ExponentialDecayLengthPenalty",
    process(scores, ids) {
      const beyond = ids.length - promptLength - start;
      if (beyond <= 0) return;
      for (const id of eos) {
        const score = scores[id];
        if (score !== undefined && Number.isFinite(score)) scores[id] = score + Math.abs(score) * (factor ** beyond - 1);
      }
    },
  };
}

export function suppressTokens(tokens: readonly number[]): LogitsProcessor {
  return { name: "SuppressTokensLogitsProcessor", process: (scores) => remove(scores, ...tokens) };
}

/** Banned only as the answer's first token (`beginIndex` tokens stand before it). */
export function suppressTokensAtBegin(tokens: readonly number[], beginIndex: number): LogitsProcessor {
  return {
    name: "SuppressTokensAtBeginLogitsProcessor",
    process: (scores, ids) => (ids.length === beginIndex ? remove(scores, ...tokens) : undefined),
  };
}

function remove(scores: Float32Array, ...tokens: readonly number[]): void {
  for (const id of tokens) if (id < scores.length) scores[id] = -Infinity;
}

function force(scores: Float32Array, tokens: readonly number[]): void {
  scores.fill(-Infinity);
  for (const id of tokens) if (id < scores.length) scores[id] = 0;
}

/** Do the last `length` ids equal the first `length` of `sequence`? */
function endsWith(ids: readonly number[], sequence: readonly number[], length: number): boolean {
  const from = ids.length - length;
  if (from < 0) return false;
  for (let i = 0; i < length; i++) if (ids[from + i] !== sequence[i]) return false;
  return true;
}

/** Do the `length` ids before position `end` equal the last `length` ids? */
function sameTail(ids: readonly number[], end: number, length: number): boolean {
  for (let i = 1; i <= length; i++) if (ids[end - i] !== ids[ids.length - i]) return false;
  return true;
}
