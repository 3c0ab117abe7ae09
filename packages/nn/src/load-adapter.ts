import { checkOptions } from "./config-error.ts";
import { Linear } from "./linear.ts";
import { type Adapter, AdapterError, type LowRankUpdate, openAdapter } from "./lora-adapter.ts";
import { LoraLinear } from "./lora-linear.ts";
import type { Module } from "./module.ts";
import { replaceModules } from "./replace-modules.ts";

export interface LoadAdapterOptions {
  /** The path below the root for a key of the adapter's base, where its names are others. */
  readonly spelling?: (key: string) => string;
  readonly signal?: AbortSignal;
}

/**
 * Puts a saved adapter's pairs beside the layers below the root, to go on training them, and binds what it trained whole;
 * returns the pairs by path.
 * @throws AdapterError with everything that does not fit; then nothing is changed.
 */
export async function loadAdapter(
  root: Module,
  folder: string,
  options: LoadAdapterOptions = {},
): Promise<ReadonlyMap<string, LoraLinear>> {
  checkOptions("loadAdapter", options, ["spelling", "signal"]);
  const { spelling = (key) => key, signal } = options;
  const adapter = await openAdapter(folder, signal ? { signal } : {});
  const modules = new Map(root.namedModules());
  const parameters = new Map(root.parameterPaths());
  const problems: string[] = [];
  const pairs = new Map<string, readonly [Linear, LoraLinear]>();
  for (const [key, update] of adapter.updates) {
    const path = spelling(key).replace(/\.weight$/, "");
    const linear = modules.get(path);
    const misfit = linear instanceof Linear ? pairMisfit(linear, update) : "is no linear layer here.";
    if (misfit !== null) problems.push(`${path} ${misfit}`);
    else if (linear instanceof Linear) pairs.set(path, [linear, pairOf(path, linear, update, adapter)]);
  }
  for (const [key, { shape }] of adapter.replacements) {
    const here = parameters.get(spelling(key))?.shape;
    if (String(here) !== String(shape))
      problems.push(`${spelling(key)} ${here ? `is [${here.join(", ")}], the adapter's [${shape.join(", ")}].` : "is not here."}`);
  }
  if (problems.length > 0) throw new AdapterError(folder, "does not fit the model; nothing was loaded.", problems);
  for (const [key, tensor] of adapter.replacements) Object.assign(parameters.get(spelling(key)) ?? {}, { source: tensor });
  const placed = new Map<Module, LoraLinear>(pairs.values());
  replaceModules(root, (_path, module) => placed.get(module) ?? module);
  return new Map(Array.from(pairs, ([path, [, pair]]) => [path, pair]));
}

function pairMisfit(linear: Linear, { A, B, transposed }: LowRankUpdate): string | null {
  if (linear instanceof LoraLinear) return "has a LoRA pair already; merge it first (mergeLora).";
  const [here, made] = [
    [linear.out_features, linear.in_features],
    [B.shape[0], A.shape[1]],
  ].map((shape) => `[${shape.join(", ")}]`);
  return here === made && !transposed ? null : `is ${here}, the adapter's is for ${transposed ? "weights that lie transposed" : made}.`;
}

function pairOf(path: string, linear: Linear, { A, B, lora_alpha }: LowRankUpdate, { lora_dropout, use_rslora }: Adapter): LoraLinear {
  const pair = new LoraLinear(linear, { r: A.shape[0] ?? 1, lora_alpha, lora_dropout, use_rslora });
  for (const [name, { weight }, source] of [
    ["lora_A", pair.lora_A, A],
    ["lora_B", pair.lora_B, B],
  ] as const) {
    weight.label = `${path}.${name}.weight`;
    weight.source = source;
  }
  return pair;
}
