/**
 * Several adapters over one base that is in memory once; each request says whose answer it wants.
 *
 *     language model                low-rank updates beside its linear layers, chosen row by row (MultiLoraLinear)
 *     vision encoder and projector  weights that any adapter changed are inputs of the graph: each picture is encoded with
 *                                   those of its request
 *
 * What an adapter trained whole in the language model (embeddings, norms, biases) cannot be chosen by row: such a one is merged.
 */
import { readFloat32 } from "@waggle/checkpoint";
import { type GraphDefinition, input, symbol, type WeightSource } from "@waggle/graph";
import { decoderGraph, type LanguageModel } from "@waggle/language";
import {
  AdapterError,
  isMerged,
  Linear,
  type LowRankUpdate,
  Module,
  MultiLoraLinear,
  Parameter,
  replaceModules,
  setAdapterRows,
} from "@waggle/nn";
import type { CompileOptions, Resident, Runtime } from "@waggle/runtime";
import type { Assembly } from "./start.ts";

export interface Adapters {
  /** In order; the k-th, from 1, is number k of the decoder's input. */
  readonly names: readonly string[];
  /** Of what sees: the parameters that any adapter changed. */
  readonly varying: ReadonlyMap<string, Parameter>;
  /** Their values, first without an adapter, then with each; null: the same as without. */
  readonly variants: readonly (ReadonlyMap<string, WeightSource> | null)[];
}

/** The base with the adapters beside it. `opened`: each adapter over this base, by name, its weights bound but not read. */
export async function withAdapters(base: Assembly, opened: ReadonlyMap<string, Assembly>): Promise<Assembly> {
  const root = rootOf(base);
  const linears = new Map(
    [...root.namedModules()].flatMap(([path, module]) => (module instanceof Linear ? [[path, module] as const] : [])),
  );
  const owners = new Map<Parameter, number>();
  for (const [, parameter] of root.parameterPaths()) owners.set(parameter, (owners.get(parameter) ?? 0) + 1);
  const changes: Changes[] = [];
  for (const [name, tuned] of opened) changes.push(await changesOf(name, root, rootOf(tuned)));
  const updates = new Map<Linear, (LowRankUpdate | null)[]>();
  for (const [index, [name]] of [...opened].entries()) {
    const problems: string[] = [];
    for (const [path, change] of changes[index]?.language ?? []) {
      const linear = linears.get(path.replace(/\.weight$/, ""));
      const own = linear && owners.get(linear.weight) === 1;
      if (!("A" in change) || change.transposed) problems.push(`${path} was trained whole.`);
      else if (!own) problems.push(`${path} is shared with other layers.`);
      else updates.set(linear, Object.assign(updates.get(linear) ?? changes.map(() => null), { [index]: change }));
    }
    if (problems.length > 0) throw new AdapterError(name, "cannot be one of several; merge it (waggle merge), or load it alone.", problems);
  }
  const stacked = new Map<Module, Module>(Array.from(updates, ([linear, list]) => [linear, new MultiLoraLinear(linear, list)]));
  replaceModules(root, (_path, module) => stacked.get(module) ?? module);
  return { ...base, adapters: { names: [...opened.keys()], ...sightOf(root, changes) } };
}

interface Changes {
  readonly language: ReadonlyMap<string, LowRankUpdate | WeightSource>;
  readonly sight: ReadonlyMap<string, WeightSource>;
}

/** What is another in the adapter's model than in the base. */
async function changesOf(name: string, base: Module, tuned: Module): Promise<Changes> {
  const own = new Map(base.parameterPaths());
  const others = new Map(tuned.parameterPaths());
  const strange = [...new Set([...own.keys(), ...others.keys()])].filter(
    (path) => String(own.get(path)?.shape) !== String(others.get(path)?.shape),
  );
  if (strange.length > 0)
    throw new AdapterError(
      name,
      "makes another model of the base, so it cannot be one of several.",
      strange.map((path) => `${path} is not the same.`),
    );
  const language = new Map<string, LowRankUpdate | WeightSource>();
  const sight = new Map<string, WeightSource>();
  for (const [path, { source }] of others) {
    const before = own.get(path)?.source ?? null;
    if (source === null || before === null || (await isSame(source, before))) continue;
    if (!path.startsWith("language_model.")) sight.set(path, source);
    else language.set(path, isMerged(source) && (await isSame(source.base, before)) ? source.update : source);
  }
  return { language, sight };
}

/** PEFT saves copies of some weights that did not change (the head's). */
async function isSame(a: WeightSource, b: WeightSource): Promise<boolean> {
  if (a.fingerprint === b.fingerprint) return true;
  if (isMerged(a) || isMerged(b)) return false;
  const [left, right] = await Promise.all([readFloat32(a), readFloat32(b)]);
  return left.every((value, i) => value === right[i]);
}

function sightOf(root: Module, changes: readonly Changes[]): Omit<Adapters, "names"> {
  const paths = new Set(changes.flatMap(({ sight }) => [...sight.keys()]));
  const varying = new Map([...root.parameterPaths()].filter(([path]) => paths.has(path)));
  const values = (sight: Changes["sight"]): ReadonlyMap<string, WeightSource> =>
    new Map([...varying].flatMap(([path, { source }]) => (source ? [[path, sight.get(path) ?? source] as const] : [])));
  return { varying, variants: [values(new Map()), ...changes.map(({ sight }) => (sight.size === 0 ? null : values(sight)))] };
}

/** The decoder protocol, with an input `adapter` [B] where there are any. */
export function decoderWith(language: LanguageModel, adapters: Adapters | null): GraphDefinition {
  if (adapters === null) return decoderGraph(language);
  const adapter = input("adapter", "int64", [symbol("B")]);
  setAdapterRows(language, adapter);
  const graph = decoderGraph(language);
  setAdapterRows(language, null);
  return { ...graph, inputs: { ...graph.inputs, adapter } };
}

/** The varying weights of each variant beside the sessions, by path: to be fed. */
export async function adapterWeights(
  runtime: Runtime,
  { variants }: Adapters,
  compile: CompileOptions,
): Promise<readonly (Readonly<Record<string, Resident>> | undefined)[]> {
  const placed: (Readonly<Record<string, Resident>> | undefined)[] = [];
  for (const sources of variants) placed.push(sources?.size ? await place(runtime, sources, compile) : undefined);
  return placed;
}

/** A session that does nothing but hand out its weights. */
async function place(
  runtime: Runtime,
  sources: ReadonlyMap<string, WeightSource>,
  compile: CompileOptions,
): Promise<Readonly<Record<string, Resident>>> {
  const outputs: Record<string, Parameter> = {};
  for (const [path, source] of sources) {
    const parameter = new Parameter(source.shape);
    outputs[path] = Object.assign(parameter, { source, label: path });
  }
  using session = await runtime.compile({ name: "weights", inputs: {}, outputs }, compile);
  return session.run({}, { keep: Object.keys(outputs) });
}

function rootOf({ composition, language }: Assembly): Module {
  return composition?.modules ?? new LanguageAlone(language);
}

class LanguageAlone extends Module {
  readonly language_model: Module;

  constructor(language: Module) {
    super();
    this.language_model = language;
  }
}
