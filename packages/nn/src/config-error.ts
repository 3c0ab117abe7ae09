/** One thing that is wrong with a configuration: which field, and what was expected, found and to be done. */
export interface ConfigProblem {
  readonly field: string;
  readonly message: string;
}

/** A configuration that no module can be built from. Lists everything that is wrong with it, not the first thing. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly code = "config";
  /** What was to be configured, for example `LlamaConfig`. */
  readonly where: string;
  readonly problems: readonly ConfigProblem[];

  constructor(where: string, problems: readonly ConfigProblem[]) {
    super(`${where}: ${problems.map(({ field, message }) => (field === "" ? message : `${field}: ${message}`)).join("\n  ")}`);
    this.where = where;
    this.problems = problems;
  }
}

/** The part of a zod schema that is needed here. */
export interface Schema<T> {
  safeParse(value: unknown): { readonly success: true; readonly data: T } | { readonly success: false; readonly error: SchemaIssues };
}

interface SchemaIssues {
  readonly issues: readonly { readonly path: readonly PropertyKey[]; readonly message: string }[];
}

/** The checked configuration, or one {@link ConfigError} with every mistake in it. */
export function parseConfig<T>(where: string, schema: Schema<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new ConfigError(
    where,
    result.error.issues.map(({ path, message }) => ({ field: fieldOf(path), message })),
  );
}

/** How errors name a place in a configuration: `stages[0].optimizer.lr`. */
export function fieldOf(path: readonly PropertyKey[]): string {
  return path.map((step, i) => (typeof step === "number" ? `[${step}]` : `${i > 0 ? "." : ""}${String(step)}`)).join("");
}

/** Refuses options that nobody reads: a misspelt option that is ignored is worse than an error. */
export function checkOptions<T extends object>(where: string, options: T, known: readonly (keyof T & string)[]): void {
  const problems = Object.keys(options)
    .filter((name) => !(known as readonly string[]).includes(name))
    .map((name) => ({ field: name, message: `is not an option. There are: ${known.join(", ")}.` }));
  if (problems.length > 0) throw new ConfigError(where, problems);
}
