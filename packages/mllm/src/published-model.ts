/** What a model's files say, brought to one form: the settings, and every tensor under the key that it is published by. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { TensorSource } from "@waggle/checkpoint";
import { llavaHf } from "@waggle/text";
import { bindWeights } from "./bind.ts";
import { bindBlip2, blip2Composition, blip2Key, publishedBlip2 } from "./blip2.ts";
import { buildLanguage } from "./build-language.ts";
import { publishedKey } from "./checkpoint-keys.ts";
import { compose } from "./compose.ts";
import { honeybeeComposition, honeybeeKey, honeybeeTokenizerFolder } from "./honeybee.ts";
import { processorConfig, publishedLlava } from "./llava-published.ts";
import { llavaParts, readConfig, refuseProjector } from "./load.ts";
import type { LoadOptions } from "./load-options.ts";
import { miniGpt4Composition } from "./minigpt4.ts";
import { isMiniGpt4 } from "./minigpt4-folder.ts";
import { adaptedParts, type MiniGpt4Parts, openMiniGpt4Files, openMiniGpt4Folder } from "./minigpt4-parts.ts";
import type { ModelConfig } from "./model-config.ts";
import { type ModelFolder, openWeights } from "./model-folder.ts";
import { copiesIn, usedTensors } from "./used-tensors.ts";

type Fields = Readonly<Record<string, unknown>>;

export interface PublishedModel {
  /** config.json: its text, where it stays as it is (Python tells 1.0 from 1, JavaScript cannot), or its object. */
  readonly config: Fields | string;
  readonly tensors: ReadonlyMap<string, TensorSource>;
  /** The folder of its tokenizer. */
  readonly tokenizer: string;
  /** The folder of its processor, chat template and generation settings. */
  readonly settings: string;
  /** Files that take the place of those, by their names: the objects of JSON files, the texts of others. */
  readonly files: ReadonlyMap<string, Fields | string>;
}

/** Opens a model in any layout that `load` reads, headers only; adapters are merged when their tensors are read. */
export async function publishedModel(model: ModelFolder, options: LoadOptions): Promise<PublishedModel> {
  const { base, adapter } = model;
  await refuseProjector(model);
  if (await isMiniGpt4(base)) return publishedMiniGpt4(adaptedParts(await openMiniGpt4Files(base, options), adapter));
  const config = await readConfig(model.config);
  if (config.model_type === "llava_llama") return publishedLlava(config, model, options);
  if (config.model_type === "minigpt4") return publishedMiniGpt4(adaptedParts(await openMiniGpt4Folder(base, config, options), adapter));
  const text = await readFile(join(model.config, "config.json"), "utf8");
  const tensors = await tensorsOf(config, model, options);
  const tokenizer = config.model_type === "honeybee" ? await honeybeeTokenizerFolder(base, config, options) : base;
  const processor = config.model_type === "llava" && !(await readdir(base)).includes("processor_config.json");
  const files = new Map(processor ? [["processor_config.json", processorConfig(config)]] : []);
  return { config: text, tensors, tokenizer, settings: base, files };
}

type InPlace = Exclude<ModelConfig, { readonly model_type: "llava_llama" | "minigpt4" }>;

/** Of the layouts whose keys stay, or are brought to the first of their spellings. */
async function tensorsOf(config: InPlace, model: ModelFolder, options: LoadOptions): Promise<ReadonlyMap<string, TensorSource>> {
  switch (config.model_type) {
    case "text": {
      const language = buildLanguage(config.text);
      const state = await openWeights(model, options);
      bindWeights(language, state);
      return usedTensors(language, state, (key) => key);
    }
    case "llava": {
      const composition = compose({ ...llavaParts(config), prompt: llavaHf });
      const state = await openWeights(model, options, publishedKey);
      composition.bind(state);
      const tensors = usedTensors(composition.modules, state, publishedKey);
      return new Map(Array.from(tensors, ([key, tensor]) => [publishedKey(key), tensor]));
    }
    case "honeybee": {
      const composition = honeybeeComposition(config);
      const state = await openWeights(model, options, honeybeeKey);
      composition.bind(state);
      return usedTensors(composition.modules, state, honeybeeKey);
    }
    case "blip-2": {
      const composition = blip2Composition(config);
      const state = await openWeights(model, options, blip2Key);
      bindBlip2(composition, state);
      const copies = copiesIn(composition.modules);
      return publishedBlip2(new Map([...state.tensors].filter(([key]) => !copies.has(blip2Key(key)))));
    }
    default:
      return config satisfies never;
  }
}

function publishedMiniGpt4(parts: MiniGpt4Parts): PublishedModel {
  const { modules } = miniGpt4Composition(parts);
  const { state, spelling } = parts.weights;
  const tensors = new Map(Array.from(usedTensors(modules, state, spelling), ([key, tensor]) => [spelling(key), tensor]));
  return { config: parts.config, tensors, tokenizer: parts.llm, settings: parts.llm, files: new Map() };
}
