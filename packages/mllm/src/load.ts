import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { CheckpointError, readJson } from "@waggle/checkpoint";
import type { AnyresGrid, ImageProcessor } from "@waggle/image";
import type { LanguageModel } from "@waggle/language";
import { ConfigError, initialize } from "@waggle/nn";
import { mlp, type ProjectorFactory } from "@waggle/projectors";
import { llavaHf, loadPromptTemplate, loadTokenizer } from "@waggle/text";
import { clip, type VisionEncoder } from "@waggle/vision";
import { authorsKeys, languageKeys, ownKeys, transformersKeys } from "./adapter-keys.ts";
import { withAdapters } from "./adapters.ts";
import { folderProcessor } from "./assets.ts";
import { bindWeights } from "./bind.ts";
import { blip2Assembly } from "./blip2.ts";
import { buildLanguage } from "./build-language.ts";
import { publishedKey } from "./checkpoint-keys.ts";
import { type Composition, compose } from "./compose.ts";
import { checkParts } from "./fresh-projector.ts";
import { honeybeeComposition, honeybeeKey, honeybeeTokenizer } from "./honeybee.ts";
import { authorsAssembly, originalLlavaAssembly } from "./llava-original.ts";
import type { LoadOptions, ModelOptions } from "./load-options.ts";
import { miniGpt4Assembly } from "./minigpt4.ts";
import { isMiniGpt4 } from "./minigpt4-folder.ts";
import { adaptedParts, openMiniGpt4Files, openMiniGpt4Folder } from "./minigpt4-parts.ts";
import { type LlavaConfig, type ModelConfig, readModelConfig } from "./model-config.ts";
import { type ModelFolder, openModelFolder, openWeights } from "./model-folder.ts";
import type { MultimodalModel } from "./multimodal-model.ts";
import { type Assembly, boundAssembly, type ComposedLoadOptions, folderOf, languageAssembly, start } from "./start.ts";
import { type TileMerge, tileMerge } from "./tile-merge.ts";

/**
 * Loads a published checkpoint: a folder, or a hub id (looked for in the Hugging Face cache, downloaded if need be).
 * `config.json` says what it is; everything wrong with it, or with the weights, is one error, and nothing is half-loaded.
 */
export async function load(id: string, { adapters, ...options }: ModelOptions = {}): Promise<MultimodalModel> {
  const model = await assemble(id, options);
  return start(adapters ? await openAdapters(model, id, adapters, options) : model, options);
}

async function openAdapters(
  model: Assembly,
  id: string,
  adapters: NonNullable<ModelOptions["adapters"]>,
  { revision, prompt, ...options }: LoadOptions,
): Promise<Assembly> {
  if (model.origin?.adapted)
    throw new ConfigError(id, [{ field: "adapters", message: "the model is an adapter itself; name its base, and it as one of several." }]);
  const base = await folderOf(id, { ...options, ...(revision !== undefined && { revision }) });
  const opened = new Map<string, Assembly>();
  for (const [name, folder] of Object.entries(adapters)) opened.set(name, await assemble(folder, { ...options, base }));
  return withAdapters(model, opened);
}

/** All that a published checkpoint's model is made of, with its weights bound but not read: to train it, or to start it later. */
export async function assemble(id: string, { initialize: parts = [], seed = 0, ...options }: ComposedLoadOptions = {}): Promise<Assembly> {
  const began = performance.now();
  checkParts(parts);
  const model = await openModelFolder(id, options);
  try {
    const assembly = await assembleFolder(model, options, began);
    const origin = { id: model.id, adapted: model.folder !== model.base };
    return { ...assembly, origin, ...(parts.length > 0 && { initialized: freshProjector(assembly, seed) }) };
  } catch (error) {
    // A part names its configuration, not the folder that it came from.
    if (error instanceof ConfigError && !error.where.includes(model.folder)) {
      throw new ConfigError(`${model.folder}: ${error.where}`, error.problems);
    }
    throw error;
  }
}

/** Whatever the checkpoint held: the paths of what is fresh now. */
function freshProjector({ composition }: Assembly, seed: number): readonly string[] {
  if (!composition) throw new ConfigError("load", [{ field: "initialize", message: "the model has no projector." }]);
  const { multi_modal_projector } = composition.modules;
  initialize(multi_modal_projector, { seed });
  return Array.from(multi_modal_projector.namedParameters("multi_modal_projector"), ([path]) => path);
}

async function assembleFolder(model: ModelFolder, options: LoadOptions, began: number): Promise<Assembly> {
  const { base, adapter } = model;
  await refuseProjector(model);
  if (await isMiniGpt4(base)) return miniGpt4Assembly(adaptedParts(await openMiniGpt4Files(base, options), adapter), options, began);
  const config = await readConfig(model.config);
  switch (config.model_type) {
    case "llava": {
      const { composition, processor } = await llavaComposition(config, base);
      composition.bind(await openWeights(model, options, publishedKey));
      const assembly = config.original
        ? authorsAssembly(composition, processor, config.original, { folder: base, options, began })
        : boundAssembly(composition, base, options, began);
      return { ...(await assembly), adapterKeys: transformersKeys };
    }
    case "llava_llama": {
      const adapterKeys = config.layout === "llava" ? authorsKeys(config.projector_depth) : ownKeys;
      return { ...(await originalLlavaAssembly(config, model, options, began)), adapterKeys };
    }
    case "minigpt4":
      return miniGpt4Assembly(adaptedParts(await openMiniGpt4Folder(base, config, options), adapter), options, began);
    case "honeybee": {
      const composition = honeybeeComposition(config, await honeybeeTokenizer(base, config, options));
      composition.bind(await openWeights(model, options, honeybeeKey));
      return boundAssembly(composition, base, options, began);
    }
    case "blip-2":
      return blip2Assembly(config, model, options, began);
    case "text": {
      const language = buildLanguage(config.text);
      bindWeights(language, await openWeights(model, options));
      return { ...(await languageAssembly(language, base, options, began)), adapterKeys: languageKeys };
    }
    default:
      return config satisfies never;
  }
}

export async function readConfig(folder: string): Promise<ModelConfig> {
  const file = join(folder, "config.json");
  if (!(await readdir(folder)).includes("config.json")) {
    const holds = "A model's folder holds config.json, weights and a tokenizer";
    const message = `there is no such file. ${holds}; what was trained in a composition of your own is loaded by that composition.`;
    throw new CheckpointError({ code: "not_found", file, message });
  }
  return readModelConfig(await readJson(file), file);
}

/** The parts that a llava-hf config.json asks for, without weights. */
export function llavaParts(config: LlavaConfig): {
  vision: VisionEncoder;
  projector: ProjectorFactory;
  language: LanguageModel;
  tiles?: TileMerge;
} {
  const vision = clip(config.vision, {
    layer: config.vision_feature_layer,
    classToken: config.vision_feature_select_strategy === "full" ? "keep" : "drop",
  });
  const pinpoints = config.image_grid_pinpoints;
  const grid: AnyresGrid | null = pinpoints && { convention: "transformers", pinpoints, tile: vision.image_size.height };
  return {
    vision,
    ...(grid && { tiles: tileMerge(grid, vision.grid.columns, "spatial_unpad") }),
    projector: mlp({ act: config.projector_hidden_act, bias: config.multimodal_projector_bias }),
    language: buildLanguage(config.text),
  };
}

async function llavaComposition(config: LlavaConfig, folder: string): Promise<{ composition: Composition; processor: ImageProcessor }> {
  const parts = llavaParts(config);
  const tokenizer = await loadTokenizer(folder);
  const placeholder = tokenizer.token(config.image_token_id);
  if (placeholder === undefined) {
    const message = `id ${config.image_token_id} stands for pictures, but the tokenizer has only ${tokenizer.size} tokens.`;
    throw new ConfigError(join(folder, "config.json"), [{ field: "image_token_index", message }]);
  }
  const prompt = (await loadPromptTemplate(folder)) ?? llavaHf;
  const processor = await folderProcessor(folder);
  return { composition: compose({ ...parts, prompt, tokenizer, processor, placeholder }), processor };
}

/** LLaVA's mm_projector.bin is of use over a LLaVA only. */
export async function refuseProjector({ folder, base, config, projector }: ModelFolder): Promise<void> {
  if (projector === null) return;
  const type = (await isMiniGpt4(base)) ? "minigpt4" : (await readConfig(config)).model_type;
  if (type !== "minigpt4" && type !== "blip-2" && type !== "honeybee") return;
  throw new ConfigError(folder, [{ field: "base", message: `mm_projector.bin is LLaVA's; ${base} is ${type}.` }]);
}
