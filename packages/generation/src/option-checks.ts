/** What a value may be. A check returns the value in its resolved form, or what was expected instead. */
export type Check<T> = (value: unknown) => { readonly value: T } | { readonly problem: string };

export const flag: Check<boolean> = (value) => (typeof value === "boolean" ? { value } : { problem: "true or false" });

export const text: Check<string> = (value) =>
  typeof value === "string" && value !== "" ? { value } : { problem: "a text that is not empty" };

export function integer({ min }: { readonly min: number }): Check<number> {
  return (value) => (Number.isSafeInteger(value) && Number(value) >= min ? { value: Number(value) } : { problem: `an integer ≥ ${min}` });
}

/** A number within bounds; `infinite` admits ±∞. */
export function finite(bounds: { readonly min?: number; readonly above?: number; readonly max?: number }, infinite = false): Check<number> {
  const { min = -Infinity, above = -Infinity, max = Infinity } = bounds;
  const low = bounds.above !== undefined ? ` > ${above}` : bounds.min !== undefined ? ` ≥ ${min}` : "";
  const high = max < Number.MAX_VALUE ? ` and ≤ ${max}` : "";
  return (value) => {
    const usable = typeof value === "number" && !Number.isNaN(value) && (infinite || Number.isFinite(value));
    const within = usable && value >= min && (bounds.above === undefined || value > above) && value <= max;
    return within ? { value } : { problem: `a number${low}${high}` };
  };
}

export function nullable<T>(check: Check<T>): Check<T | null> {
  return (value) => (value === null ? { value: null } : check(value));
}

export function listOf<T>(check: Check<T>, minLength = 0): Check<readonly T[]> {
  return (value) => {
    const found: T[] = [];
    if (!Array.isArray(value) || value.length < minLength) return { problem: minLength > 0 ? "a list that is not empty" : "a list" };
    for (const item of value) {
      const checked = check(item);
      if ("problem" in checked) return { problem: `a list, each entry ${checked.problem}` };
      found.push(checked.value);
    }
    return { value: found };
  };
}

/** A single value stands for a list of one. */
export function oneOrMore<T>(check: Check<T>): Check<readonly T[]> {
  return (value) => listOf(check)(Array.isArray(value) ? value : [value]);
}

export function pair<A, B>(first: Check<A>, second: Check<B>): Check<readonly [A, B]> {
  return (value) => {
    if (!Array.isArray(value) || value.length !== 2) return { problem: "a pair" };
    const [a, b] = [first(value[0]), second(value[1])];
    if ("problem" in a) return { problem: `a pair, the first ${a.problem}` };
    if ("problem" in b) return { problem: `a pair, the second ${b.problem}` };
    return { value: [a.value, b.value] };
  };
}

export function oneOf<T extends string | boolean>(values: readonly T[]): Check<T> {
  const names = values.map((value) => JSON.stringify(value)).join(", ");
  return (value) => {
    const found = values.find((known) => known === value);
    return found === undefined ? { problem: `one of ${names}` } : { value: found };
  };
}
