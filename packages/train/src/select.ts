/** Which parameters a setting speaks of. */
import { ConfigError, type ConfigProblem, type Module, type Parameter } from "@waggle/nn";

/**
 * A part (`vision`, `projector`, `language`), `lora`, or a property path: of a parameter, or of a module and with it all
 * below. `*` stands for any characters. A RegExp is asked about the whole path.
 */
export type ParameterPattern = string | RegExp;

/** The parts of a composition by their short names. */
const parts: Readonly<Record<string, string>> = {
  vision: "vision_tower",
  projector: "multi_modal_projector",
  language: "language_model",
  lora: "*.lora_*",
};

export function patternMatches(pattern: ParameterPattern, path: string): boolean {
  if (pattern instanceof RegExp) return path.search(pattern) >= 0; // unlike test(), the same every time, with the flags g and y too
  const plain = (parts[pattern] ?? pattern).replace(/[.+?^${}()|[\]\\]/g, "\\$&").replaceAll("*", ".*");
  return new RegExp(`^${plain}(\\..*)?$`).test(path);
}

/** The parameters that the patterns name, by path, each once and in the module's order. A pattern that names none is an error. */
export function selectParameters(root: Module, patterns: readonly ParameterPattern[], where: string): ReadonlyMap<string, Parameter> {
  const problems = patternProblems(root, patterns);
  if (problems.length > 0) throw new ConfigError(where, problems);
  return new Map([...root.namedParameters()].filter(([path]) => patterns.some((pattern) => patternMatches(pattern, path))));
}

/** Patterns that name nothing, and none at all. */
export function patternProblems(root: Module, patterns: readonly ParameterPattern[]): readonly ConfigProblem[] {
  if (patterns.length === 0) return [{ field: "trainable", message: "expected at least one pattern." }];
  const paths = Array.from(root.namedParameters(), ([path]) => path);
  return patterns.flatMap((pattern, i) =>
    paths.some((path) => patternMatches(pattern, path))
      ? []
      : [{ field: `trainable[${i}]`, message: `${pattern} names no parameter. There are ${outline(root)}.` }],
  );
}

/** The first steps of the paths, to choose from. */
function outline(root: Module): string {
  const names = new Set(Array.from(root.namedParameters(), ([path]) => path.split(".").slice(0, 3).join(".")));
  const shown = [...names].slice(0, 12);
  return `${shown.join(", ")}${names.size > shown.length ? ", …" : ""}`;
}
