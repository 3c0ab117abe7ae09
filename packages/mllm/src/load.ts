import { join } from "node:path";
import { openCheckpoint, readJson } from "@waggle/checkpoint";
import type { LanguageModel } from "@waggle/language";
import { ConfigError } from "@waggle/nn";
import { mlp, type ProjectorFactory } from "@waggle/projectors";
import { llavaHf, loadPromptTemplate, loadTokenizer } from "@waggle/text";
import { clip, type VisionEncoder } from "@waggle/vision";
import { folderProcessor } from "./assets.ts";
import { bindWeights } from "./bind.ts";
import { blip2Assembly } from "./blip2.ts";
import { buildLanguage } from "./build-language.ts";
import { type Composition, compose } from "./compose.ts";
import type { LoadOptions } from "./load-options.ts";
import { miniGpt4Assembly } from "./minigpt4.ts";
import { isMiniGpt4 } from "./minigpt4-folder.ts";
import { type LlavaConfig, type ModelConfig, readModelConfig } from "./model-config.ts";
import type { MultimodalModel } from "./multimodal-model.ts";
import { folderOf, start, startComposition, startLanguageModel } from "./start.ts";

/**
 * Loads a published checkpoint: a folder, or a hub id (looked for in the Hugging Face cache, downloaded if need be).
 * `config.json` says what it is; everything wrong with it, or with the weights, is one error, and nothing is half-loaded.
 */
export async function load(id: string, options: LoadOptions = {}): Promise<MultimodalModel> {
  const began = performance.now();
  const folder = await folderOf(id, options);
  if (await isMiniGpt4(folder)) return start(await miniGpt4Assembly(folder, options, began), options);
  const config = await readConfig(folder);
  switch (config.model_type) {
    case "llava":
      return startComposition(await llavaComposition(config, folder), folder, options, began);
    case "blip-2":
      return start(await blip2Assembly(config, folder, options, began), options);
    case "text": {
      const language = buildLanguage(config.text);
      bindWeights(language, await openCheckpoint(folder, options.signal ? { signal: options.signal } : {}));
      return startLanguageModel(language, folder, options, began);
    }
    default:
      return config satisfies never;
  }
}

export async function readConfig(folder: string): Promise<ModelConfig> {
  const file = join(folder, "config.json");
  return readModelConfig(await readJson(file), file);
}

/** The parts that a llava-hf config.json asks for, without weights. */
export function llavaParts(config: LlavaConfig): { vision: VisionEncoder; projector: ProjectorFactory; language: LanguageModel } {
  return {
    vision: clip(config.vision, {
      layer: config.vision_feature_layer,
      classToken: config.vision_feature_select_strategy === "full" ? "keep" : "drop",
    }),
    projector: mlp({ act: config.projector_hidden_act, bias: config.multimodal_projector_bias }),
    language: buildLanguage(config.text),
  };
}

async function llavaComposition(config: LlavaConfig, folder: string): Promise<Composition> {
  const parts = llavaParts(config);
  const tokenizer = await loadTokenizer(folder);
  const placeholder = tokenizer.token(config.image_token_id);
  if (placeholder === undefined) {
    const message = `id ${config.image_token_id} stands for pictures, but the tokenizer has only ${tokenizer.size} tokens.`;
    throw new ConfigError(join(folder, "config.json"), [{ field: "image_token_index", message }]);
  }
  const prompt = (await loadPromptTemplate(folder)) ?? llavaHf;
  return compose({ ...parts, prompt, tokenizer, processor: await folderProcessor(folder), placeholder });
}
