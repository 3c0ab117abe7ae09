/**
 * Sizes of axes: a number, or an open dimension that is known only when the graph runs.
 *
 * A SymbolicDim is a polynomial of named dimensions with integer coefficients (`2*S + P`), kept in canonical
 * form, so that two ways to write the same size compare equal and a size without names becomes a number again.
 */
import { ShapeError } from "./shape-error.ts";

export type Dim = number | SymbolicDim;
export type Shape = readonly Dim[];

export class SymbolicDim {
  /** Product of names, sorted and joined by "*" ("" for the constant term) → coefficient, never 0. */
  readonly terms: ReadonlyMap<string, number>;

  constructor(terms: ReadonlyMap<string, number>) {
    this.terms = terms;
  }

  toString(): string {
    return [...this.terms].map(([names, factor]) => (names === "" ? `${factor}` : factor === 1 ? names : `${factor}*${names}`)).join(" + ");
  }

  toJSON(): string {
    return this.toString();
  }
}

/** An open dimension, for example `symbol("S")`. The same name means the same size everywhere in one graph. */
export function symbol(name: string): SymbolicDim {
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
    throw new ShapeError(`symbol: expected a name of letters, digits and underscores, got ${JSON.stringify(name)}.`);
  }
  return new SymbolicDim(new Map([[name, 1]]));
}

function termsOf(a: Dim): ReadonlyMap<string, number> {
  return typeof a === "number" ? new Map([["", a]]) : a.terms;
}

function canonical(terms: ReadonlyMap<string, number>): Dim {
  const kept = [...terms].filter(([, factor]) => factor !== 0).sort(([a], [b]) => (a === "" ? 1 : b === "" ? -1 : a < b ? -1 : 1));
  if (kept.length === 0) return 0;
  const [first] = kept;
  return kept.length === 1 && first !== undefined && first[0] === "" ? first[1] : new SymbolicDim(new Map(kept));
}

export function dimAdd(a: Dim, b: Dim): Dim {
  const sum = new Map(termsOf(a));
  for (const [names, factor] of termsOf(b)) sum.set(names, (sum.get(names) ?? 0) + factor);
  return canonical(sum);
}

export function dimSub(a: Dim, b: Dim): Dim {
  return dimAdd(a, dimMul(b, -1));
}

export function dimMul(a: Dim, b: Dim): Dim {
  const product = new Map<string, number>();
  for (const [namesA, factorA] of termsOf(a)) {
    for (const [namesB, factorB] of termsOf(b)) {
      const names = [...namesA.split("*"), ...namesB.split("*")]
        .filter((name) => name !== "")
        .sort()
        .join("*");
      product.set(names, (product.get(names) ?? 0) + factorA * factorB);
    }
  }
  return canonical(product);
}

/** `a / b` where it is a polynomial with integer coefficients, else null: long division by the leading term. */
export function dimDivide(a: Dim, b: Dim): Dim | null {
  const [leading, factor] = leadingTerm(b);
  if (factor === 0) return null;
  let [rest, quotient]: [Dim, Dim] = [a, 0];
  while (rest !== 0) {
    const [names, count] = leadingTerm(rest);
    const left = names === "" ? [] : names.split("*");
    for (const name of leading === "" ? [] : leading.split("*")) {
      const at = left.indexOf(name);
      if (at < 0) return null;
      left.splice(at, 1);
    }
    if (count % factor !== 0) return null;
    const term = canonical(new Map([[left.join("*"), count / factor]]));
    quotient = dimAdd(quotient, term);
    rest = dimSub(rest, dimMul(term, b));
  }
  return quotient;
}

/** The largest term in an order that products keep: by degree, then by name. */
function leadingTerm(dim: Dim): readonly [string, number] {
  const degree = (names: string): number => (names === "" ? 0 : names.split("*").length);
  const [first] = [...termsOf(dim)].sort(([a], [b]) => degree(b) - degree(a) || (a < b ? -1 : 1));
  return first ?? ["", 0];
}

export function dimEquals(a: Dim, b: Dim): boolean {
  return typeof a === "number" || typeof b === "number" ? a === b : a.toString() === b.toString();
}

export function dimProduct(dims: readonly Dim[]): Dim {
  return dims.reduce<Dim>((product, dim) => dimMul(product, dim), 1);
}

export function shapeEquals(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((dim, axis) => dimEquals(dim, b[axis] ?? Number.NaN));
}

export function isStatic(shape: Shape): shape is readonly number[] {
  return shape.every((dim) => typeof dim === "number");
}

/** The names in a dimension, for example `["P", "S"]` of `2*S + P`. */
export function namesOf(dim: Dim): readonly string[] {
  if (typeof dim === "number") return [];
  return [...new Set([...dim.terms.keys()].flatMap((names) => names.split("*")).filter((name) => name !== ""))];
}

export function formatShape(shape: Shape): string {
  return `[${shape.map(String).join(", ")}]`;
}
