/** LoRA pairs beside the linear layers of a model, chosen as PEFT chooses them. */
import { type ConfigProblem, checkOptions } from "./config-error.ts";
import { initializeParameter } from "./initialize.ts";
import { Linear } from "./linear.ts";
import { LoraLinear, type LoraShape, loraShapeNames, refuse, shapeProblems } from "./lora-linear.ts";
import type { Module } from "./module.ts";
import { replaceModules } from "./replace-modules.ts";

/** As in PEFT's `LoraConfig`. */
export interface LoraOptions extends LoraShape {
  /** A list: layers whose path is one of these or ends in `.` and one of these. A text: a regular expression for whole paths. */
  readonly target_modules: string | readonly string[];
  /** Of A's first values. Default 0. */
  readonly seed?: number;
}

/**
 * Puts a {@link LoraLinear} in the place of every targeted Linear below the root, and returns them by path. A is drawn
 * from U(−1/√in, 1/√in) by the seed and the path, B is zero. A layer that stands in two places gets one pair; one that has a pair of the same numbers keeps it.
 * @throws ConfigError with everything wrong with the options: also a target that names no Linear, with what is near it.
 */
export function addLora(root: Module, options: LoraOptions): ReadonlyMap<string, LoraLinear> {
  checkOptions("addLora", options, ["target_modules", "seed", ...loraShapeNames]);
  const { target_modules, seed = 0, ...shape } = options;
  const linears = [...linearsBelow(root)];
  const targets = targetsOf(target_modules);
  const chosen = linears.filter(([path]) => targets.some(({ matches }) => matches?.(path)));
  refuse("addLora", [
    ...shapeProblems(shape),
    ...(targets.length === 0 ? [{ field: "target_modules", message: "expected at least one layer." }] : []),
    ...targets.flatMap((target) => targetProblems(target, linears, root)),
    ...chosen.flatMap(([path, linear]) => (linear instanceof LoraLinear && !linear.has(shape) ? [otherPair(path)] : [])),
  ]);
  const pairs = new Map<Module, readonly [string, LoraLinear]>();
  for (const [path, linear] of chosen) {
    const pair = linear instanceof LoraLinear ? linear : new LoraLinear(linear, shape);
    pairs.set(linear, [path, pair]);
    if (pair === linear) continue;
    for (const [name, half] of Object.entries({ lora_A: pair.lora_A, lora_B: pair.lora_B }))
      initializeParameter(half.weight, `${path}.${name}.weight`, seed);
  }
  replaceModules(root, (_path, module) => pairs.get(module)?.[1] ?? module);
  return new Map(pairs.values());
}

/** Every linear layer once, by its first path; not the matrices of LoRA pairs. */
function* linearsBelow(root: Module): IterableIterator<[string, Linear]> {
  const seen = new Set<Module>();
  for (const [path, module] of root.namedModules()) {
    if (!(module instanceof Linear) || seen.has(module)) continue;
    seen.add(module);
    if (module instanceof LoraLinear) seen.add(module.lora_A).add(module.lora_B);
    yield [path, module];
  }
}

interface Target {
  readonly field: string;
  readonly text: string;
  /** null: it is no regular expression. */
  readonly matches: ((path: string) => boolean) | null;
}

function targetsOf(target_modules: LoraOptions["target_modules"]): readonly Target[] {
  if (typeof target_modules === "string") return [{ field: "target_modules", text: target_modules, matches: wholeMatch(target_modules) }];
  return target_modules.map((text, i) => ({
    field: `target_modules[${i}]`,
    text,
    matches: (path) => path === text || path.endsWith(`.${text}`),
  }));
}

function wholeMatch(source: string): Target["matches"] {
  try {
    const pattern = new RegExp(`^(?:${source})$`);
    return (path) => pattern.test(path);
  } catch {
    return null;
  }
}

function targetProblems({ field, text, matches }: Target, linears: readonly (readonly [string, Linear])[], root: Module): ConfigProblem[] {
  if (matches === null) return [{ field, message: `${text} is no regular expression.` }];
  if (linears.some(([path]) => matches(path))) return [];
  const other = [...root.namedModules()].find(([path]) => matches(path));
  if (other) return [{ field, message: `${text} names ${other[0]} (${other[1].constructor.name}); a pair stands beside a Linear.` }];
  const partly = field === "target_modules" && linears.find(([path]) => path.includes(text));
  if (partly)
    return [
      { field, message: `${text} is a regular expression for whole paths, as ${partly[0]}. Write .*${text}, or a list: ["${text}"].` },
    ];
  const names = [...new Set(linears.map(([path]) => path.slice(path.lastIndexOf(".") + 1)))];
  const near = names.filter((name) => distance(name, text.slice(text.lastIndexOf(".") + 1)) <= 3);
  const shown =
    near.length > 0 ? `Near it: ${near.join(", ")}` : `There are: ${names.slice(0, 16).join(", ")}${names.length > 16 ? ", …" : ""}`;
  return [{ field, message: `${text} names no Linear. ${shown}.` }];
}

function otherPair(path: string): ConfigProblem {
  return {
    field: "target_modules",
    message: `${path} has a LoRA pair of other numbers already. Give it the same, or merge it first (mergeLora).`,
  };
}

/** Letters to put in, leave out or change until one word is the other (Levenshtein). */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (const [i, letter] of [...a].entries()) {
    const next = [i + 1];
    for (const [j, other] of [...b].entries())
      next.push(Math.min((row[j] ?? 0) + Number(letter !== other), (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1));
    row = next;
  }
  return row[b.length] ?? 0;
}
