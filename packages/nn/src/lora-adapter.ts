/**
 * A LoRA adapter as PEFT saves it: what was trained, beside a base model that stays as it is.
 *
 *     adapter_config.json                            r, lora_alpha, …; which base it is for
 *     adapter_model.safetensors | adapter_model.bin  base_model.model.<module>.lora_A.weight [r, in]
 *                                                    base_model.model.<module>.lora_B.weight [out, r]
 *                                                    base_model.model.<module>.lora_embedding_A [r, rows], lora_embedding_B [width, r]
 *                                                    base_model.model.<key>, trained whole (biases, modules_to_save)
 *     non_lora_trainables.bin                        LLaVA's: base_model.model.<key>, trained whole
 *
 * paper  arXiv 2106.09685, 2312.03732 (rank-stabilised)       reference  peft `LoraConfig`, `save_pretrained`
 */
import { access } from "node:fs/promises";
import { join } from "node:path";
import { openCheckpoint, readJson, type TensorEntry } from "@waggle/checkpoint";
import type { WeightSource } from "@waggle/graph";
import { ConfigError, type ConfigProblem } from "./config-error.ts";

/** Added to a weight: scale · B · A, for an embedding table (scale · B · A)ᵀ. */
export interface LowRankUpdate {
  readonly A: WeightSource;
  readonly B: WeightSource;
  readonly lora_alpha: number;
  /** α / r, or α / √r. */
  readonly scale: number;
  readonly transposed: boolean;
}

export interface Adapter {
  readonly source: string;
  /** The base that it names: a folder or a hub id. */
  readonly base_model: string | null;
  /** In the training that made it. */
  readonly lora_dropout: number;
  readonly use_rslora: boolean;
  /** By the base's key of the weight. */
  readonly updates: ReadonlyMap<string, LowRankUpdate>;
  /** What takes the place of the base's tensors, by the base's keys. */
  readonly replacements: ReadonlyMap<string, TensorEntry>;
}

/** An adapter that is not what it should be, or not for this base. Lists everything that is wrong. */
export class AdapterError extends Error {
  override readonly name = "AdapterError";
  readonly code = "adapter";
  readonly adapter: string;
  readonly problems: readonly string[];

  constructor(adapter: string, what: string, problems: readonly string[]) {
    const shown = problems.slice(0, 24).map((problem) => `\n  ${problem}`);
    const more = problems.length > shown.length ? `\n  … and ${problems.length - shown.length} more; the error's field has them all.` : "";
    super(`${adapter}: ${what}${shown.join("")}${more}`);
    this.adapter = adapter;
    this.problems = problems;
  }
}

/** Opens an adapter's folder; headers only. */
export async function openAdapter(folder: string, options: { readonly signal?: AbortSignal } = {}): Promise<Adapter> {
  const file = join(folder, "adapter_config.json");
  const { alphaOf, fan_in_fan_out, ...config } = readAdapterConfig(await readJson(file), file);
  const weights = (await exists(join(folder, "adapter_model.safetensors"))) ? "adapter_model.safetensors" : "adapter_model.bin";
  if (!(await exists(join(folder, weights))))
    throw new AdapterError(
      folder,
      "holds no weights: expected adapter_model.safetensors or adapter_model.bin beside adapter_config.json.",
      [],
    );
  const tensors = new Map((await openCheckpoint(join(folder, weights), options)).tensors);
  const beside = join(folder, "non_lora_trainables.bin");
  if (await exists(beside)) for (const [key, tensor] of (await openCheckpoint(beside, options)).tensors) tensors.set(key, tensor);

  const halves = new Map<string, { A?: TensorEntry; B?: TensorEntry; table: boolean }>();
  const replacements = new Map<string, TensorEntry>();
  const problems: string[] = [];
  for (const [key, tensor] of tensors) {
    const name = key.replace(/^base_model\.model\./, "");
    const [, module, table, half] = /^(.+)\.lora_(embedding_)?([AB])(?:\.default)?(?:\.weight)?$/.exec(name) ?? [];
    if (module !== undefined) {
      const pair = halves.get(module) ?? { table: table !== undefined };
      halves.set(module, { ...pair, [half === "A" ? "A" : "B"]: tensor });
    } else if (/\.lora_/.test(name)) problems.push(`${key} is not supported: only matrices lora_A and lora_B are (no DoRA).`);
    else if (!name.includes(".original_module."))
      replacements.set(name.replace(/\.(modules_to_save(\.default)?|base_layer)\./, "."), tensor);
  }
  const updates = new Map<string, LowRankUpdate>();
  for (const [module, { A, B, table }] of halves) {
    if (!A || !B) problems.push(`${module} has lora_${A ? "A" : "B"} only.`);
    else if (A.shape.length !== 2 || B.shape.length !== 2 || A.shape[0] !== B.shape[1] || A.shape[0] === 0)
      problems.push(`${module}: expected A [r, in] and B [out, r], got [${A.shape.join(", ")}] and [${B.shape.join(", ")}].`);
    else {
      const [lora_alpha, r] = [alphaOf(module), A.shape[0] ?? 1];
      const scale = lora_alpha / (config.use_rslora ? Math.sqrt(r) : r);
      updates.set(`${module}.weight`, { A, B, lora_alpha, scale, transposed: table || fan_in_fan_out });
    }
  }
  if (updates.size + replacements.size === 0) problems.push("holds no tensors.");
  if (problems.length > 0) throw new AdapterError(join(folder, weights), "is no adapter that can be merged.", problems);
  return { source: folder, ...config, updates, replacements };
}

interface AdapterConfig extends Pick<Adapter, "base_model" | "lora_dropout" | "use_rslora"> {
  /** May be set for single modules. */
  readonly alphaOf: (module: string) => number;
  readonly fan_in_fan_out: boolean;
}

function readAdapterConfig(json: unknown, file: string): AdapterConfig {
  const config: Readonly<Record<string, unknown>> = isRecord(json) ? json : {};
  const problems: ConfigProblem[] = [];
  const refuse = (field: string, message: string): void => void problems.push({ field, message });
  const { lora_alpha, lora_dropout, base_model_name_or_path: base, alpha_pattern, use_rslora, fan_in_fan_out } = config;
  if (config.peft_type !== undefined && config.peft_type !== "LORA")
    refuse("peft_type", `${JSON.stringify(config.peft_type)} is not supported; LORA is.`);
  if (!isNumber(lora_alpha)) refuse("lora_alpha", `expected a number, got ${JSON.stringify(lora_alpha)}.`);
  if (config.use_dora === true) refuse("use_dora", "DoRA is not supported: its weights are scaled row by row.");
  for (const field of ["use_rslora", "fan_in_fan_out"])
    if (config[field] != null && typeof config[field] !== "boolean") refuse(field, "expected true or false.");
  const patterns = Object.entries(isRecord(alpha_pattern) ? alpha_pattern : {});
  for (const [pattern, alpha] of patterns) {
    if (!isNumber(alpha)) refuse(`alpha_pattern.${pattern}`, `expected a number, got ${JSON.stringify(alpha)}.`);
    if (!isPattern(pattern)) refuse(`alpha_pattern.${pattern}`, "is no regular expression.");
  }
  if (problems.length > 0) throw new ConfigError(file, problems);
  const alphaOf = (module: string): number => {
    const own = patterns.find(([pattern]) => new RegExp(`^(.*\\.)?(${pattern})$`).test(module));
    return Number(own?.[1] ?? lora_alpha);
  };
  return {
    base_model: typeof base === "string" && base !== "" ? base : null,
    lora_dropout: isNumber(lora_dropout) ? lora_dropout : 0,
    use_rslora: use_rslora === true,
    alphaOf,
    fan_in_fan_out: fan_in_fan_out === true,
  };
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isNumber(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value);
}

function isPattern(source: string): boolean {
  try {
    return new RegExp(source) instanceof RegExp;
  } catch {
    return false;
  }
}

function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}
