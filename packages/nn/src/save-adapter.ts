/**
 * LoRA pairs as a folder that PEFT opens, and {@link openAdapter} too: see lora-adapter.ts for its files.
 *
 * reference  peft `save_pretrained`, `PeftModel.from_pretrained`
 */
import { writeFile } from "node:fs/promises";
import { join as joinPath } from "node:path";
import { type NamedTensor, readFloat32, writeFolder, writeSafetensors } from "@waggle/checkpoint";
import { type ConfigProblem, checkOptions } from "./config-error.ts";
import { ModuleList } from "./containers.ts";
import { LoraLinear, refuse } from "./lora-linear.ts";
import { join, Module } from "./module.ts";
import { Parameter } from "./parameter.ts";

export interface SaveAdapterOptions {
  /** Folder or hub id of the model that was trained over. */
  readonly base_model_name_or_path: string;
  /** Paths of parameters that were trained whole (a projector's). They are saved with the rest of their modules, as PEFT's `modules_to_save`. */
  readonly trained?: Iterable<string>;
  /** The base's key for a path below the root, where PEFT knows the model by other names. */
  readonly spelling?: (path: string) => string;
  /** A parameter's values, where they are not those that it is bound to. */
  readonly read?: (path: string, parameter: Parameter) => Promise<Float32Array>;
  readonly signal?: AbortSignal;
}

/** Writes the pairs below the root into `folder`, which must be empty or not exist. All of it is written, or nothing. */
export async function saveAdapter(folder: string, root: Module, options: SaveAdapterOptions): Promise<void> {
  checkOptions("saveAdapter", options, ["base_model_name_or_path", "trained", "spelling", "read", "signal"]);
  const { spelling = (path) => path, read = valuesOf, signal } = options;
  const pairs = pairsOf(root);
  const whole = wholeModules(root, pairs, [...(options.trained ?? [])]);
  const config = { ...adapterConfig(pairs, whole.modules, spelling), base_model_name_or_path: options.base_model_name_or_path };
  const parameters = [...whole.parameters];
  for (const [path, { lora_A, lora_B }] of pairs)
    parameters.push([`${path}.lora_A.weight`, lora_A.weight], [`${path}.lora_B.weight`, lora_B.weight]);
  const tensors = parameters.map(([path, parameter]): NamedTensor => {
    const bytes = async (): Promise<Uint8Array> => {
      const { buffer, byteOffset, byteLength } = await read(path, parameter);
      return new Uint8Array(buffer, byteOffset, byteLength);
    };
    return { name: `base_model.model.${spelling(path)}`, dtype: "float32", shape: parameter.shape, read: bytes };
  });
  await writeFolder(folder, async (temporary) => {
    await writeSafetensors(joinPath(temporary, "adapter_model.safetensors"), tensors, {
      metadata: { format: "pt" },
      ...(signal && { signal }),
    });
    await writeFile(joinPath(temporary, "adapter_config.json"), `${JSON.stringify(config, null, 2)}\n`);
  });
}

type Pairs = ReadonlyMap<string, LoraLinear>;

function pairsOf(root: Module): Pairs {
  const paths = new Map<LoraLinear, string>();
  for (const [path, module] of root.namedModules()) if (module instanceof LoraLinear && !paths.has(module)) paths.set(module, path);
  return new Map(Array.from(paths, ([pair, path]) => [path, pair]));
}

/** The fields of PEFT's `LoraConfig` that say something here; it fills in the others. */
function adapterConfig(pairs: Pairs, modules_to_save: readonly string[], spelling: (path: string) => string) {
  const name = (path: string): string => moduleName(path, spelling);
  const [[, first] = []] = pairs;
  const { r = 1, lora_alpha = 1, lora_dropout = 0, use_rslora = false } = first ?? {};
  const differing = [...pairs].filter(([, pair]) => pair.lora_dropout !== lora_dropout || pair.use_rslora !== use_rslora);
  refuse("saveAdapter", [
    ...(pairs.size + modules_to_save.length === 0
      ? [{ field: "", message: "there is nothing to save: no LoRA pair, and nothing trained." }]
      : []),
    ...differing.map(([path]) => ({ field: path, message: "one adapter has one lora_dropout and one use_rslora for all layers." })),
  ]);
  const pattern = (value: (pair: LoraLinear) => number, usual: number) =>
    Object.fromEntries(
      [...pairs].flatMap(([path, pair]) => (value(pair) === usual ? [] : [[name(path).replaceAll(".", "\\."), value(pair)]])),
    );
  return {
    peft_type: "LORA",
    task_type: null,
    inference_mode: true,
    ...{ r, lora_alpha, lora_dropout, use_rslora },
    rank_pattern: pattern((pair) => pair.r, r),
    alpha_pattern: pattern((pair) => pair.lora_alpha, lora_alpha),
    target_modules: Array.from(pairs.keys(), name),
    modules_to_save: modules_to_save.length > 0 ? modules_to_save.map(name) : null,
    bias: "none",
    fan_in_fan_out: false,
    init_lora_weights: true,
  };
}

/** The base's name of a module: what its weight is called, without `.weight`. */
function moduleName(path: string, spelling: (path: string) => string): string {
  return spelling(`${path}.weight`).replace(/\.weight$/, "");
}

interface WholeModules {
  readonly modules: readonly string[];
  readonly parameters: readonly (readonly [string, Parameter])[];
}

/** The largest modules all of whose parameters were trained; where only some were, the module that holds them, whole. */
function wholeModules(root: Module, pairs: Pairs, trained: readonly string[]): WholeModules {
  const halves = new Set([...pairs.values()].flatMap(({ lora_A, lora_B }) => [lora_A.weight, lora_B.weight]));
  const byPath = new Map(root.parameterPaths());
  const bases = new Set([...pairs.values()].flatMap(({ weight, bias }) => (bias === null ? [weight] : [weight, bias])));
  const problems = trained.flatMap((path): ConfigProblem[] => {
    const parameter = byPath.get(path);
    if (parameter === undefined) return [{ field: "trained", message: `there is no parameter ${path}.` }];
    return bases.has(parameter) ? [{ field: "trained", message: `${path} has a LoRA pair beside it: train one or the other.` }] : [];
  });
  refuse("saveAdapter", problems);
  const learnt = new Set(trained.flatMap((path) => byPath.get(path) ?? []));
  const modules = new Map<string, Module>();
  const visit = (path: string, module: Module): void => {
    const own = [...module.namedParameters()].map(([, parameter]) => parameter).filter((parameter) => !halves.has(parameter));
    const children = [...module.namedChildren()];
    const holds = children.some(([, child]) => child instanceof Parameter && learnt.has(child) && !halves.has(child));
    const whole = own.length > 0 && own.every((parameter) => learnt.has(parameter)) && !(module instanceof ModuleList);
    if (path !== "" && (whole || holds)) modules.set(path, module);
    else for (const [name, child] of children) if (child instanceof Module) visit(join(path, name), child);
  };
  visit("", root);
  const loose = [...root.namedChildren()].filter(
    (entry): entry is [string, Parameter] => entry[1] instanceof Parameter && learnt.has(entry[1]),
  );
  const parameters = [...modules].flatMap(([path, module]) => [...module.namedParameters(path)]);
  return { modules: [...modules.keys()], parameters: [...parameters, ...loose] };
}

async function valuesOf(path: string, { source }: Parameter): Promise<Float32Array> {
  if (source === null) throw new TypeError(`saveAdapter: ${path} has no values. Train, load or initialise it first.`);
  return readFloat32({ dtype: source.dtype, read: () => source.read() });
}
