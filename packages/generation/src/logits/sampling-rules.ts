/** The rules that only sampling uses: they shape the distribution without looking at the ids. Semantics of transformers' warpers. */
import { entropy, kthLargest, type Survivors, survivors } from "./distribution.ts";
import type { LogitsProcessor } from "./logits-processor.ts";

export function temperature(value: number): LogitsProcessor {
  return {
    name: "TemperatureLogitsWarper",
    process(scores) {
      for (const [i, score] of scores.entries()) scores[i] = score / value;
    },
  };
}

/** Of the 100 best, best first, keeps tokens while the entropy they add up to stays within `share` of the whole. */
export function topH(share: number): LogitsProcessor {
  return {
    name: "TopHLogitsWarper",
    process(scores) {
      removeBelow(scores, kthLargest(scores, Math.min(100, scores.length)));
      const { ids, probabilities } = survivors(scores);
      const order = sortedBy(probabilities, (a, b) => b - a).slice(0, 100);
      const total = order.reduce((sum, i) => sum + (probabilities[i] ?? 0), 0);
      const terms = order.map((i) => entropyTerm((probabilities[i] ?? 0) / total));
      const limit = share * terms.reduce((a, b) => a + b, 0);
      let spent = 0;
      const kept = new Set<number>();
      for (const [rank, i] of order.entries()) {
        spent += terms[rank] ?? 0;
        if (rank === 0 || spent <= limit) kept.add(ids[i] ?? -1);
      }
      for (const id of ids) if (!kept.has(id)) scores[id] = -Infinity;
    },
  };
}

/** Keeps the k best, and whatever equals the k-th. */
export function topK(k: number, minTokensToKeep: number): LogitsProcessor {
  const keep = Math.max(k, minTokensToKeep);
  return {
    name: "TopKLogitsWarper",
    process: (scores) => removeBelow(scores, kthLargest(scores, Math.min(keep, scores.length))),
  };
}

/** Keeps the smallest set of best tokens whose probabilities reach `mass`. Of equal tokens at its edge the lowest ids stay. */
export function topP(mass: number, minTokensToKeep: number): LogitsProcessor {
  return {
    name: "TopPLogitsWarper",
    process(scores) {
      const { ids, probabilities } = survivors(scores);
      const ascending = probabilities.slice().sort(); // sorted by value alone: ten times as fast as sorting pairs
      let removed = 0;
      for (let cumulative = 0; removed < ascending.length - minTokensToKeep; removed++) {
        cumulative += ascending[removed] ?? 0;
        if (cumulative > 1 - mass) break;
      }
      const edge = ascending[removed] ?? Infinity;
      let keptAtEdge = ascending.lastIndexOf(edge) + 1 - removed;
      for (const [i, id] of ids.entries()) {
        const p = probabilities[i] ?? 0;
        if (p < edge || (p === edge && keptAtEdge-- <= 0)) scores[id] = -Infinity;
      }
    },
  };
}

/** Keeps tokens with at least `share` of the best token's probability. */
export function minP(share: number, minTokensToKeep: number): LogitsProcessor {
  return {
    name: "MinPLogitsWarper",
    process(scores) {
      const row = survivors(scores);
      removeImprobable(scores, row, share * row.probabilities.reduce((a, b) => Math.max(a, b), 0), minTokensToKeep);
    },
  };
}

/** Keeps the tokens whose surprise is nearest to the expected one, until their probabilities reach `mass`. */
export function typical(mass: number, minTokensToKeep: number): LogitsProcessor {
  return {
    name: "TypicalLogitsWarper",
    process(scores) {
      const { ids, probabilities } = survivors(scores);
      const expected = entropy(probabilities);
      const distance = probabilities.map((p) => Math.abs(-Math.log(p) - expected));
      const order = sortedBy(distance, (a, b) => a - b);
      let cumulative = 0;
      let last = 0;
      for (const i of order) {
        cumulative += probabilities[i] ?? 0;
        if (cumulative >= mass) break;
        last++;
      }
      const limit = distance[order[Math.min(last, order.length - 1)] ?? 0] ?? Infinity;
      for (const i of order.slice(minTokensToKeep)) if ((distance[i] ?? 0) > limit) scores[ids[i] ?? 0] = -Infinity;
    },
  };
}

/** Keeps tokens with at least probability `epsilon`. */
export function epsilonCutoff(epsilon: number, minTokensToKeep: number): LogitsProcessor {
  return {
    name: "EpsilonLogitsWarper",
    process: (scores) => removeImprobable(scores, survivors(scores), epsilon, minTokensToKeep),
  };
}

/** Like epsilon, but the threshold sinks where the distribution is broad: min(ε, √ε · e^−entropy). */
export function etaCutoff(epsilon: number, minTokensToKeep: number): LogitsProcessor {
  return {
    name: "EtaLogitsWarper",
    process(scores) {
      const row = survivors(scores);
      const eta = Math.min(epsilon, Math.sqrt(epsilon) * Math.exp(-entropy(row.probabilities)));
      removeImprobable(scores, row, eta, minTokensToKeep);
    },
  };
}

/** Scores become log-probabilities of what is left. */
export function normalize(): LogitsProcessor {
  return {
    name: "LogitNormalization",
    process(scores) {
      const best = scores.reduce((a, b) => Math.max(a, b), -Infinity);
      const sum = scores.reduce((total, score) => total + Math.exp(score - best), 0);
      for (const [i, score] of scores.entries()) scores[i] = score - best - Math.log(sum);
    },
  };
}

function removeBelow(scores: Float32Array, limit: number): void {
  for (const [i, score] of scores.entries()) if (score < limit) scores[i] = -Infinity;
}

/** Removes what is below `limit`, but never one of the `minTokensToKeep` best (ties with the last of them stay too). */
function removeImprobable(scores: Float32Array, { ids, probabilities }: Survivors, limit: number, minTokensToKeep: number): void {
  const safe = kthLargest(scores, Math.min(minTokensToKeep, scores.length));
  for (const [i, id] of ids.entries()) {
    if ((probabilities[i] ?? 0) < limit && (scores[id] ?? 0) < safe) scores[id] = -Infinity;
  }
}

/** Indices of `values` in the order of `compare`; equal values stay in index order. */
function sortedBy(values: Float64Array, compare: (a: number, b: number) => number): number[] {
  return Array.from(values.keys()).sort((a, b) => compare(values[a] ?? 0, values[b] ?? 0));
}

function entropyTerm(p: number): number {
  return p > 0 ? -p * Math.log(p) : 0;
}
