/** Honeybee's findings as contrasts that a lab's results decide: what is compared, which way the paper has it, and what was measured. */
import {
  type Difference,
  drawResamples,
  gapDifference,
  holm,
  type LabResults,
  type PairedValues,
  pairedDifference,
  type Subset,
  type Values,
} from "@waggle/eval";

export interface Contrast {
  /** Whether it is positive in the paper, put as a claim: "… is better than …". */
  readonly claim: string;
  readonly finding: "a" | "b" | "c";
  readonly difference: Difference;
  /** Holm's, over all contrasts of the page. */
  readonly adjusted: number;
}

/** Projectors, each at each of these M; several are averaged. */
interface Side {
  readonly projectors: readonly string[];
  readonly tokens: readonly number[];
}

const LOCAL: readonly string[] = ["C-Abstractor", "D-Abstractor"];

export function contrastsOf(results: LabResults): Contrast[] {
  const N = results.patches;
  const asked = new Asked(results);
  const shared = results.tokens.filter((M) => asked.has({ projectors: [...LOCAL, "Resampler"], tokens: [M] }));
  const found: Omit<Contrast, "adjusted">[] = [];
  const claim = (finding: Contrast["finding"], text: string, difference: Difference | null): void =>
    void (difference && found.push({ finding, claim: text, difference }));

  for (const tokens of [...shared.map((M) => [M]), ...(shared.length > 1 ? [shared] : [])]) {
    const at = tokens.length > 1 ? `over all M (${tokens.join(", ")})` : `at M = ${tokens[0]}`;
    const [local, resampler] = [
      { projectors: LOCAL, tokens },
      { projectors: ["Resampler"], tokens },
    ];
    claim(
      "a",
      `${at}, C- and D-Abstractor are better than the Resampler on spatial questions`,
      asked.difference(local, resampler, "spatial"),
    );
    claim("a", `${at}, their lead is larger on spatial questions than on others`, asked.gap(local, resampler));
  }
  const one = (projector: string, M: number): Side => ({ projectors: [projector], tokens: [M] });
  claim("b", `at M = N = ${N}, Linear is better than the Resampler`, asked.difference(one("Linear", N), one("Resampler", N), "all"));
  claim("b", `at M = N = ${N}, the C-Abstractor is better than Linear`, asked.difference(one("C-Abstractor", N), one("Linear", N), "all"));
  const [most, least] = [Math.max(...results.tokens), Math.min(...results.tokens)];
  for (const projector of results.projectors)
    claim(
      "c",
      `${projector} is better with ${most} tokens than with ${least}`,
      asked.difference(one(projector, most), one(projector, least), "all"),
    );

  const adjusted = holm(found.map(({ difference }) => difference.p));
  return found.map((contrast, i) => ({ ...contrast, adjusted: adjusted[i] ?? 1 }));
}

/** What the run says about a claim of the paper. */
export function verdict({ difference, adjusted }: Contrast): "as in the paper" | "the other way round" | "not decided" {
  if (adjusted >= 0.05) return "not decided";
  return difference.mean > 0 ? "as in the paper" : "the other way round";
}

class Asked {
  readonly #results: LabResults;
  readonly #indices: Readonly<Record<Subset, readonly number[]>>;

  constructor(results: LabResults) {
    const every = results.questions.map((_, i) => i);
    const spatial = (i: number): boolean => results.questions[i]?.spatial ?? false;
    this.#results = results;
    this.#indices = { all: every, spatial: every.filter(spatial), nonSpatial: every.filter((i) => !spatial(i)) };
  }

  has(side: Side): boolean {
    return this.#seeds(side).length > 0;
  }

  difference(a: Side, b: Side, subset: Subset): Difference | null {
    const paired = this.#paired(a, b, subset);
    return paired && pairedDifference(paired.a, paired.b, paired.draws);
  }

  gap(a: Side, b: Side): Difference | null {
    const [spatial, other] = [this.#paired(a, b, "spatial"), this.#paired(a, b, "nonSpatial")];
    return spatial && other && gapDifference(spatial, other);
  }

  #paired(a: Side, b: Side, subset: Subset): PairedValues | null {
    const seeds = this.#seeds(a).filter((seed) => this.#seeds(b).includes(seed));
    const indices = this.#indices[subset];
    if (seeds.length === 0 || indices.length === 0) return null;
    const values = (side: Side): Values => seeds.map((seed) => this.#shares(side, seed, indices));
    return { a: values(a), b: values(b), draws: drawResamples(seeds.length, indices.length) };
  }

  /** Seeds with which all of a side were trained to the end. */
  #seeds({ projectors, tokens }: Side): number[] {
    const seeds = Array.from({ length: this.#results.seeds }, (_, seed) => seed);
    return seeds.filter((seed) => projectors.every((projector) => tokens.every((M) => this.#right(projector, M, seed) !== null)));
  }

  /** Of each question, the share of the side's models that answer it. */
  #shares({ projectors, tokens }: Side, seed: number, indices: readonly number[]): number[] {
    const rows = projectors.flatMap((projector) => tokens.map((M) => this.#right(projector, M, seed) ?? ""));
    return indices.map((i) => rows.reduce((sum, row) => sum + Number(row[i]), 0) / rows.length);
  }

  #right(projector: string, tokens: number, seed: number): string | null {
    const found = this.#results.trials.find((trial) => trial.projector === projector && trial.tokens === tokens && trial.seed === seed);
    return found?.status === "done" ? found.right : null;
  }
}
