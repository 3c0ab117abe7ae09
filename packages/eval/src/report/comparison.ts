/** What follows from a lab's results: means with intervals, and every pair of projectors at the same number of tokens. */
import type { LabResults, TrialResult } from "../results.ts";
import {
  bootstrapInterval,
  type Difference,
  type Draws,
  drawResamples,
  gapDifference,
  holm,
  type Interval,
  pairedDifference,
} from "../statistics/bootstrap.ts";

/** Which questions a number is about. */
export type Subset = "all" | "spatial" | "nonSpatial";

/** One projector at one M, over its seeds. */
export interface Standing {
  readonly projector: string;
  readonly tokens: number;
  readonly seeds: number;
  readonly parameters: number;
  readonly secondsPerStep: number;
  /** null where there are no such questions. */
  readonly accuracy: Readonly<Record<Subset, Interval | null>>;
  /** With the pictures of other questions. */
  readonly shuffled: Readonly<Record<Subset, number | null>>;
  /** By family. */
  readonly families: Readonly<Record<string, number>>;
}

/** a − b at the same M on the same questions, over the seeds that both have. */
export interface Duel {
  readonly tokens: number;
  readonly a: string;
  readonly b: string;
  /** "gap": how much larger the difference is on spatial questions than on others. */
  readonly about: Subset | "gap";
  readonly seeds: number;
  readonly difference: Difference;
  /** Holm's, over all pairs of all M about the same questions. */
  readonly adjusted: number;
}

export interface Comparison {
  readonly standings: readonly Standing[];
  readonly duels: readonly Duel[];
  /** Of whoever reads the questions only. */
  readonly textOnly: Readonly<Record<Subset, number | null>>;
  readonly textOnlyFamilies: Readonly<Record<string, number>>;
}

const subsets: readonly Subset[] = ["all", "spatial", "nonSpatial"];

/** The same results give the same comparison. */
export function compareProjectors(results: LabResults): Comparison {
  const asked = new Questions(results);
  const groups = groupsOf(results);
  const duels = groups.flatMap((a, i) => groups.slice(i + 1).flatMap((b) => (a.tokens === b.tokens ? asked.duelsOf(a, b) : [])));
  return {
    standings: groups.map((group) => asked.standingOf(group)),
    duels: (["all", "spatial", "nonSpatial", "gap"] as const).flatMap((about) => {
      const alike = duels.filter((duel) => duel.about === about);
      const adjusted = holm(alike.map(({ difference }) => difference.p));
      return alike.map((duel, i) => ({ ...duel, adjusted: adjusted[i] ?? 1 }));
    }),
    textOnly: asked.means(results.textOnly),
    textOnlyFamilies: asked.byFamily([results.textOnly]),
  };
}

interface Group {
  readonly projector: string;
  readonly tokens: number;
  readonly trials: readonly TrialResult[];
}

/** Finished trials by M and projector, in the order of the spec. */
function groupsOf({ projectors, tokens, trials }: LabResults): Group[] {
  const done = trials.filter(({ status }) => status === "done");
  return tokens.flatMap((M) =>
    projectors.flatMap((projector) => {
      const own = done.filter((trial) => trial.projector === projector && trial.tokens === M);
      return own.length === 0 ? [] : [{ projector, tokens: M, trials: own }];
    }),
  );
}

class Questions {
  readonly #families: readonly string[];
  readonly #indices: Readonly<Record<Subset, readonly number[]>>;
  readonly #draws = new Map<string, Draws>();

  constructor({ questions }: LabResults) {
    const every = questions.map((_, i) => i);
    const spatial = every.filter((i) => questions[i]?.spatial);
    this.#families = questions.map(({ family }) => family);
    this.#indices = { all: every, spatial, nonSpatial: every.filter((i) => !questions[i]?.spatial) };
  }

  standingOf({ projector, tokens, trials }: Group): Standing {
    const right = trials.map((trial) => trial.right);
    const accuracyOf = (subset: Subset): Interval | null => {
      const values = this.#values(right, subset);
      return values === null ? null : bootstrapInterval(values, this.#drawsOf(trials.length, subset));
    };
    return {
      ...{ projector, tokens, seeds: trials.length, parameters: trials[0]?.parameters ?? 0 },
      secondsPerStep: mean(trials.map((trial) => trial.secondsPerStep)),
      accuracy: { all: accuracyOf("all"), spatial: accuracyOf("spatial"), nonSpatial: accuracyOf("nonSpatial") },
      shuffled: this.means(...trials.map((trial) => trial.shuffled)),
      families: this.byFamily(right),
    };
  }

  duelsOf(a: Group, b: Group): Omit<Duel, "adjusted">[] {
    const shared = a.trials.flatMap((trial) => b.trials.flatMap((other) => (other.seed === trial.seed ? [[trial, other] as const] : [])));
    if (shared.length === 0) return [];
    const values = (subset: Subset) => {
      const [one, other] = [0, 1].map((side) =>
        this.#values(
          shared.map((pair) => pair[side]?.right ?? ""),
          subset,
        ),
      );
      return one && other ? { a: one, b: other, draws: this.#drawsOf(shared.length, subset) } : null;
    };
    const common = { tokens: a.tokens, a: a.projector, b: b.projector, seeds: shared.length };
    const [spatial, nonSpatial] = [values("spatial"), values("nonSpatial")];
    const duels: Omit<Duel, "adjusted">[] = subsets.flatMap((about) => {
      const found = values(about);
      return found ? [{ ...common, about, difference: pairedDifference(found.a, found.b, found.draws) }] : [];
    });
    if (spatial && nonSpatial) duels.push({ ...common, about: "gap", difference: gapDifference(spatial, nonSpatial) });
    return duels;
  }

  /** Of lists of digits. */
  means(...digits: readonly string[]): Record<Subset, number | null> {
    const [all = null, spatial = null, nonSpatial = null] = subsets.map((subset) => {
      const values = this.#values(digits, subset);
      return values && mean(values.map(mean));
    });
    return { all, spatial, nonSpatial };
  }

  byFamily(digits: readonly string[]): Record<string, number> {
    const hits = new Map(this.#families.map((family): [string, number[]] => [family, []]));
    for (const row of digits) for (const [i, family] of this.#families.entries()) hits.get(family)?.push(Number(row[i]));
    return Object.fromEntries(Array.from(hits, ([family, values]) => [family, mean(values)]));
  }

  #values(digits: readonly string[], subset: Subset): readonly number[][] | null {
    const indices = this.#indices[subset];
    return indices.length === 0 ? null : digits.map((row) => indices.map((i) => Number(row[i])));
  }

  /** All comparisons over the same questions share their draws. */
  #drawsOf(seeds: number, subset: Subset): Draws {
    const key = `${seeds} ${subset}`;
    const found = this.#draws.get(key) ?? drawResamples(seeds, this.#indices[subset].length);
    this.#draws.set(key, found);
    return found;
  }
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** "", "*", "**" or "***" for p below 0.05, 0.01 and 0.001. */
export function significanceMark(p: number): string {
  return p < 0.001 ? "***" : p < 0.01 ? "**" : p < 0.05 ? "*" : "";
}
