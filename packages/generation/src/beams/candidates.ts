/** Which beams and tokens are the candidates of a step. Rows hold the sums of log-probabilities, one row per beam. */
import type { RandomNumbers } from "../random.ts";
import { unusable } from "../sampler.ts";

export interface Choice {
  readonly beam: number;
  readonly id: number;
  readonly score: number;
}

/** The `count` best, best first; of equal ones the lowest beam and id. */
export function bestChoices(rows: readonly Float32Array[], count: number): readonly Choice[] {
  const found: Choice[] = [];
  let least = Number.NEGATIVE_INFINITY;
  for (const [beam, row] of rows.entries()) {
    for (let id = 0; id < row.length; id++) {
      const score = row[id] ?? Number.NaN;
      if (Number.isNaN(score)) throw unusable("NaN");
      if (found.length === count && score <= least) continue;
      let at = found.length;
      while (at > 0 && (found[at - 1]?.score ?? 0) < score) at--;
      found.splice(at, 0, { beam, id, score });
      if (found.length > count) found.pop();
      least = found.at(-1)?.score ?? least;
    }
  }
  if ((found[0]?.score ?? Number.NEGATIVE_INFINITY) === Number.NEGATIVE_INFINITY) throw unusable("no token left");
  return found;
}

/**
 * `count` draws without replacement from the distribution over all beams and tokens, in the order in which they are
 * drawn: one random number each, walked along beams and ids from the lowest. When nothing with a probability is left, the
 * best of the rest follow, as so many candidates are needed.
 */
export function drawnChoices(rows: readonly Float32Array[], count: number, random: RandomNumbers): readonly Choice[] {
  const [top] = bestChoices(rows, 1);
  const weights = rows.flatMap((row, beam) => {
    const survivors: { choice: Choice; weight: number }[] = [];
    for (const [id, score] of row.entries()) {
      const weight = Math.exp(score - (top?.score ?? 0));
      if (weight > 0) survivors.push({ choice: { beam, id, score }, weight });
    }
    return survivors;
  });
  const drawn: Choice[] = [];
  while (drawn.length < count && weights.length > 0) {
    const target = random.next() * weights.reduce((sum, { weight }) => sum + weight, 0);
    let cumulative = 0;
    const at = weights.findIndex(({ weight }) => {
      cumulative += weight;
      return target < cumulative;
    });
    drawn.push(...weights.splice(at, 1).map(({ choice }) => choice)); // −1 is the last, where rounding left a rest
  }
  if (drawn.length === count) return drawn;
  const known = new Set(drawn.map(({ beam, id }) => `${beam}:${id}`));
  const rest = bestChoices(rows, count + drawn.length).filter(({ beam, id }) => !known.has(`${beam}:${id}`));
  return [...drawn, ...rest].slice(0, count);
}
