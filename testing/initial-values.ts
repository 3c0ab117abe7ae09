/** New weights against those of the originals: the same distribution, parameter by parameter (facts from reference/nn/init_stats.py). */
import { type Module, type Parameter, random } from "@waggle/nn";
import { expect } from "vitest";

/** Of a distribution; kurtosis is 3 for a normal and 1.8 for a uniform one, and missing for a constant. */
export interface Moments {
  readonly mean: number;
  readonly std: number;
  readonly kurtosis?: number;
}

/** By regular expressions over keys. */
export type InitialFacts = Readonly<Record<string, Moments>>;

/** Values that are looked at: the standard deviation is then known to 0.4 %, and a smaller sample would know it worse than the facts do. */
const VALUES = 40_000;

/** Every parameter is named by exactly one fact and distributed as it says; every fact that `unused` does not name is of a parameter. */
export function expectInitialValues(module: Module, facts: InitialFacts, unused = /^$/): void {
  const found: Record<string, Moments> = {};
  const expected: Record<string, Moments> = {};
  const named = new Set<string>();
  for (const [key, parameter] of module.namedParameters()) {
    const matching = Object.keys(facts).filter((pattern) => new RegExp(`^(${pattern})$`).test(key));
    expect({ key, matching }).toEqual({ key, matching: [expect.any(String)] });
    const fact = facts[matching[0] ?? ""] ?? { mean: Number.NaN, std: Number.NaN };
    named.add(matching[0] ?? "");
    const seeds = Math.ceil(VALUES / parameter.shape.reduce((product, size) => product * size, 1));
    found[key] = momentsOf(draws(key, parameter, fact.std === 0 ? 1 : seeds));
    expected[key] = tolerated(fact);
  }
  expect(found).toEqual(expected);
  expect(Object.keys(facts).filter((pattern) => !named.has(pattern) && !unused.test(pattern))).toEqual([]);
}

/** Values of one parameter from several seeds, as `initialize` fills it. */
function draws(key: string, { shape, init }: Parameter, seeds: number): Float32Array {
  const size = shape.reduce((product, each) => product * each, 1);
  const values = new Float32Array(size * seeds);
  for (let seed = 0; seed < seeds; seed++) init.fill(values.subarray(seed * size, (seed + 1) * size), shape, random(seed, key));
  return values;
}

function momentsOf(values: Float32Array): Moments {
  const power = (exponent: number): number => values.reduce((sum, value) => sum + value ** exponent, 0) / values.length;
  const [mean, square] = [power(1), power(2)];
  const std = Math.sqrt(Math.max(0, square - mean * mean));
  return std < 1e-9 ? { mean, std: 0 } : { mean, std, kurtosis: power(4) / square ** 2 };
}

/** Within five of what both samples may differ by. */
function tolerated({ mean, std, kurtosis }: Moments): Moments {
  const near = (value: number, error: number): number => expect.toSatisfy((found: number) => Math.abs(found - value) <= error);
  if (kurtosis === undefined) return { mean: near(mean, 1e-7), std: 0 };
  return { mean: near(mean, (5 * std) / Math.sqrt(VALUES / 2)), std: near(std, 0.02 * std), kurtosis: near(kurtosis, 0.2) };
}
