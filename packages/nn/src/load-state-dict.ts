/** Strict loading: every key of the file has its place in the module and every parameter its key, or nothing is loaded. */
import type { WeightSource } from "@waggle/graph";
import { checkOptions } from "./config-error.ts";
import { join, type KeyTrouble, type Module } from "./module.ts";
import type { Parameter } from "./parameter.ts";
import { type Mismatch, type StateDictDifferences, StateDictError } from "./state-dict-error.ts";

/** What a checkpoint is to a module: named tensors, and where they come from. */
export interface StateDict {
  readonly source: string;
  readonly tensors: ReadonlyMap<string, WeightSource>;
}

export interface LoadOptions {
  /** The module's place in the file: `language_model`. Keys elsewhere are other parts' and passed over. */
  readonly prefix?: string;
  /** The module's spelling of a key of the file, before the prefix is taken off; null: pass over it. */
  readonly rename?: (key: string) => string | null;
  /** Keys (as the module spells them) that may be passed over, besides those that the modules themselves ignore. */
  readonly ignore?: readonly RegExp[];
  /** Another source for a key (as the module spells it): one row dropped, another layout. */
  readonly transform?: (key: string, source: WeightSource) => WeightSource;
}

interface Found {
  readonly key: string;
  readonly source: WeightSource;
}

const floats: ReadonlySet<string> = new Set(["float32", "float16", "bfloat16", "float64"]);

/** Binds every parameter of the module to its tensor in the checkpoint. Reads no weights. */
export function loadStateDict(module: Module, checkpoint: StateDict, options: LoadOptions = {}): void {
  checkOptions("loadStateDict", options, ["prefix", "rename", "ignore", "transform"]);
  const ignore = ignoredKeys(module, options.ignore ?? []);
  const paths = new Map(module.parameterPaths());
  const found = new Map<Parameter, Found[]>();
  const unexpected: string[] = [];
  for (const [key, source] of checkpoint.tensors) {
    const path = place(key, options);
    if (path === null) continue;
    const parameter = paths.get(path);
    if (parameter !== undefined)
      found.set(parameter, [...(found.get(parameter) ?? []), { key, source: options.transform?.(path, source) ?? source }]);
    else if (!ignore(path)) unexpected.push(key);
  }
  const differences = compare(module, found, unexpected);
  if (Object.values(differences).some((list) => list.length > 0)) {
    const keys = checkpoint.tensors.size;
    throw new StateDictError({ module: module.constructor.name, source: checkpoint.source, keys }, differences, (key, kind) =>
      kind === "unexpected"
        ? cureOf(module, place(key, options) ?? key, kind)
        : ((kind === "missing" ? prefixCure(key, checkpoint) : undefined) ?? cureOf(module, key, kind)),
    );
  }
  bind(module, found, options.prefix ?? "");
}

function bind(module: Module, found: ReadonlyMap<Parameter, readonly Found[]>, prefix: string): void {
  for (const [path, parameter] of module.namedParameters()) {
    parameter.label = join(prefix, path);
    parameter.source = found.get(parameter)?.[0]?.source ?? null;
  }
}

function compare(module: Module, found: ReadonlyMap<Parameter, readonly Found[]>, unexpected: readonly string[]): StateDictDifferences {
  const missing: string[] = [];
  const mismatched: Mismatch[] = [];
  const ambiguous: { key: string; from: readonly string[] }[] = [];
  for (const [path, parameter] of module.namedParameters()) {
    const [first, ...others] = found.get(parameter) ?? [];
    if (first === undefined) missing.push(path);
    else if (others.length > 0) ambiguous.push({ key: path, from: [first, ...others].map(({ key }) => key) });
    else if (!fits(parameter, first.source)) {
      const { dtype, shape } = first.source;
      mismatched.push({ key: path, expected: { dtype: parameter.dtype, shape: parameter.shape }, got: { dtype, shape } });
    }
  }
  return { missing, unexpected, mismatched, ambiguous };
}

function fits({ dtype, shape }: Parameter, source: WeightSource): boolean {
  const types = dtype === source.dtype || (floats.has(dtype) && floats.has(source.dtype));
  return types && shape.length === source.shape.length && shape.every((size, axis) => size === source.shape[axis]);
}

/** Where in the module a key of the file belongs; null: nowhere, and that is as it should be. */
function place(key: string, { prefix = "", rename }: LoadOptions): string | null {
  const name = rename === undefined ? key : rename(key);
  if (name === null || prefix === "") return name;
  return name.startsWith(`${prefix}.`) ? name.slice(prefix.length + 1) : null;
}

function ignoredKeys(module: Module, more: readonly RegExp[]): (path: string) => boolean {
  const rules: (readonly [string, RegExp])[] = more.map((pattern) => ["", pattern]);
  for (const [path, { ignoredKeys }] of module.namedModules()) for (const pattern of ignoredKeys) rules.push([path, pattern]);
  return (key) =>
    rules.some(
      ([path, pattern]) => (path === "" || key.startsWith(`${path}.`)) && pattern.test(path === "" ? key : key.slice(path.length + 1)),
    );
}

/** What the innermost module that has something to say about the key says. */
function cureOf(module: Module, key: string, kind: KeyTrouble): string | undefined {
  let cure: string | undefined;
  for (const [path, part] of module.namedModules()) {
    if (path === "") cure = part.cureFor(key, kind) ?? cure;
    else if (key.startsWith(`${path}.`)) cure = part.cureFor(key.slice(path.length + 1), kind) ?? cure;
  }
  return cure;
}

/** The commonest mistake by far: all keys are there, under a longer or a shorter name. */
function prefixCure(key: string, { tensors }: StateDict): string | undefined {
  const names = [...tensors.keys()];
  const longer = names.find((name) => name.endsWith(`.${key}`));
  if (longer !== undefined) return `The file has ${longer}: pass prefix: "${longer.slice(0, -key.length - 1)}".`;
  const shorter = names.find((name) => key.endsWith(`.${name}`));
  return shorter && `The file has ${shorter}: pass a rename that puts "${key.slice(0, -shorter.length)}" in front.`;
}
