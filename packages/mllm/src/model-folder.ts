/**
 * A published folder may hold a whole model, or only what was trained beside a base model:
 *
 *     adapter_config.json, adapter_model.*, non_lora_trainables.bin   a LoRA adapter by PEFT, LLaVA's too
 *     mm_projector.bin, without other weights                         LLaVA's projector, stage 1 of its training
 *
 * Such a folder's config.json counts (where it has one); tokenizer and other weights are the base's.
 */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { HubError, openCheckpoint } from "@waggle/checkpoint";
import { type Adapter, ConfigError, mergeAdapter, openAdapter, type StateDict } from "@waggle/nn";
import type { LoadOptions } from "./load-options.ts";
import { matrixProduct } from "./matrix-product.ts";
import { folderOf, ofAnother } from "./start.ts";

export interface ModelFolder {
  /** What the caller asked for. */
  readonly id: string;
  readonly folder: string;
  /** Where the language model's weights and the tokenizer are. */
  readonly base: string;
  /** Where config.json is. */
  readonly config: string;
  readonly adapter: Adapter | null;
  /** A file of weights that take the place of the base's. */
  readonly projector: string | null;
}

/** `include`: of hub ids only these files. */
export async function openModelFolder(id: string, options: LoadOptions, include?: readonly string[]): Promise<ModelFolder> {
  const folder = await folderOf(id, options, include);
  const names = await readdir(folder);
  const isAdapter = names.includes("adapter_config.json");
  const hasWeights = names.some((name) => /^(model|pytorch_model)\b.*\.(safetensors|bin|index\.json)$/.test(name));
  const isProjector = !isAdapter && !hasWeights && names.includes("mm_projector.bin");
  if (!isAdapter && !isProjector) {
    if (options.base === undefined) return { id, folder, base: folder, config: folder, adapter: null, projector: null };
    const message = "the folder holds no adapter_config.json and no mm_projector.bin alone, so it needs no base.";
    const cure = names.includes("adapter") ? ` What a run of waggle train learnt is in ${join(id, "adapter")}.` : "";
    throw new ConfigError(folder, [{ field: "base", message: `${message}${cure}` }]);
  }
  const adapter = isAdapter ? await openAdapter(folder, options.signal ? { signal: options.signal } : {}) : null;
  const baseId = options.base ?? adapter?.base_model;
  if (baseId == null) {
    const what = isAdapter ? "a LoRA adapter that does not name its base" : "a projector without a language model";
    throw new ConfigError(folder, [
      { field: "base", message: `the folder holds ${what}: pass \`base\`, the model that it was trained over.` },
    ]);
  }
  const base = await folderOf(baseId, ofAnother(options), include).catch((error: unknown) => {
    if (options.base !== undefined || !(error instanceof HubError)) throw error;
    const message = `adapter_config.json names a base that cannot be opened. ${error.message} Or pass \`base\`, where that model is.`;
    throw new HubError(error.code, folder, message, { cause: error });
  });
  return {
    id,
    folder,
    base,
    config: names.includes("config.json") ? folder : base,
    adapter,
    projector: isProjector ? join(folder, "mm_projector.bin") : null,
  };
}

/** All its weights, headers only; `spelling` brings the keys of base and adapter to one form. */
export async function openWeights(
  model: ModelFolder,
  options: LoadOptions,
  spelling: (key: string) => string = (key) => key,
): Promise<StateDict> {
  return adapted(await openBaseWeights(model, options, spelling), model.adapter, spelling);
}

/** The same without what an adapter changes. */
export async function openBaseWeights(
  { base, projector }: ModelFolder,
  { signal }: LoadOptions,
  spelling: (key: string) => string,
): Promise<StateDict> {
  const opening = signal ? { signal } : {};
  const whole: StateDict = await openCheckpoint(base, opening);
  if (projector === null) return whole;
  const own = await openCheckpoint(projector, opening);
  const replaced = new Set(Array.from(own.tensors.keys(), spelling));
  const kept = [...whole.tensors].filter(([key]) => !replaced.has(spelling(key)));
  return { source: `${base} + ${projector}`, tensors: new Map([...kept, ...own.tensors]) };
}

/** A base's tensors with the adapter in them, where there is one. */
export function adapted(base: StateDict, adapter: Adapter | null, spelling: (key: string) => string): StateDict {
  return adapter ? mergeAdapter(base, adapter, spelling, matrixProduct) : base;
}
