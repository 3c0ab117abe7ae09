/**
 * LLaVA as its authors publish it: 1, 1.5 and 1.6, and TinyLLaVA Factory's models. The vision encoder is a CLIP of its
 * own, which `mm_vision_tower` names; where the shards hold one too (LLaVA-1.6 trained it), theirs counts.
 *
 *     ids    the texts between the pictures, each tokenized alone; BOS once
 *
 * reference  haotian-liu/LLaVA `load_pretrained_model`, `process_images`, `tokenizer_image_token`
 */
import { basename, dirname, resolve } from "node:path";
import { openCheckpoint } from "@waggle/checkpoint";
import { type ImageProcessor, imageProcessor } from "@waggle/image";
import { ConfigError, type StateDict } from "@waggle/nn";
import { identity, mlp } from "@waggle/projectors";
import {
  chatmlDirect,
  IMAGE_PLACEHOLDER,
  llavaLlama2,
  llavaMpt,
  llavaV0,
  llavaV1,
  loadTokenizer,
  mistralInstruct,
  type PromptTemplate,
  splitPromptIds,
  type Tokenizer,
  vicunaV1,
} from "@waggle/text";
import { clip } from "@waggle/vision";
import { generationDefaults } from "./assets.ts";
import { bindWeights } from "./bind.ts";
import { buildLanguage } from "./build-language.ts";
import { type Composition, compose } from "./compose.ts";
import { type Dialect, strippedAnswer } from "./dialect.ts";
import { type EncoderFolder, openEncoderFolder } from "./encoder-folder.ts";
import type { OriginalLlavaConfig } from "./llava-original-config.ts";
import { originalLlavaKey, tinyLlavaKey } from "./llava-original-keys.ts";
import type { LoadOptions } from "./load-options.ts";
import { type ModelFolder, openWeights } from "./model-folder.ts";
import { type Assembly, assemblyOf } from "./start.ts";
import { tileMerge } from "./tile-merge.ts";

const spellings = { llava: originalLlavaKey, tinyllava: tinyLlavaKey };

/** LLaVA's id of a picture; no token has it. */
const PICTURE = -200;

export async function originalLlavaAssembly(
  config: OriginalLlavaConfig,
  model: ModelFolder,
  options: LoadOptions,
  began: number,
): Promise<Assembly> {
  const state = await openOriginalLlava(config, model, options);
  const encoder = await openEncoderFolder(config, model, options);
  const { composition, processor } = originalLlava(config, model, encoder);
  await bindOriginalLlava(composition, config, state, encoder, options);
  const tokenizer = await loadTokenizer(model.base);
  return assemblyOf(composition, {
    tokenizer,
    processor,
    template: options.prompt ?? composition.prompt,
    tokenId: PICTURE,
    dialect: originalDialect(config, tokenizer),
    defaults: await generationDefaults(model.base, tokenizer),
    began,
  });
}

/** The parts, without weights. */
export function originalLlava(
  config: OriginalLlavaConfig,
  model: Pick<ModelFolder, "id" | "config">,
  encoder: EncoderFolder,
): { composition: Composition; processor: ImageProcessor } {
  const vision = clip(encoder.vision_config, {
    layer: config.vision_feature_layer,
    classToken: config.vision_feature_select === "cls_patch" ? "keep" : "drop",
  });
  const { vision_hidden_size, projector_depth, image_aspect_ratio, image_grid_pinpoints, merge } = config;
  if (vision_hidden_size !== null && vision_hidden_size !== vision.hidden_size) {
    const message = `is ${vision_hidden_size}, but the vision encoder's features are ${vision.hidden_size} wide.`;
    throw new ConfigError(`${model.config}/config.json`, [{ field: "mm_hidden_size", message }]);
  }
  const processor = imageProcessor({
    ...encoder.preprocessor,
    image_aspect_ratio,
    ...(image_grid_pinpoints != null && { image_grid_pinpoints }),
  });
  const composition = compose({
    vision,
    projector: projector_depth === 0 ? identity() : mlp({ depth: projector_depth }),
    language: buildLanguage(config.text),
    prompt: config.layout === "tinyllava" ? vicunaV1 : conversationFor(model.id),
    ...(processor.anyres && { tiles: tileMerge(processor.anyres, vision.grid.columns, merge) }),
  });
  return { composition, processor };
}

/** The weights of the folder and its base. */
export function openOriginalLlava({ layout }: OriginalLlavaConfig, model: ModelFolder, options: LoadOptions): Promise<StateDict> {
  return openWeights(model, options, spellings[layout]);
}

/** Binds them, and those of the vision encoder's folder where they hold none. */
export async function bindOriginalLlava(
  { modules }: Composition,
  { layout }: OriginalLlavaConfig,
  { source, tensors }: StateDict,
  encoder: EncoderFolder,
  options: LoadOptions,
): Promise<void> {
  const spelling = spellings[layout];
  const all = new Map(tensors);
  if (!modules.image_newline) all.delete("model.image_newline"); // only tiles that are unpadded have use for it
  let sources = source;
  if (!Array.from(tensors.keys(), spelling).some((key) => key.startsWith("vision_tower."))) {
    const own: StateDict = await openCheckpoint(await encoder.weights(), options.signal ? { signal: options.signal } : {});
    for (const [key, tensor] of own.tensors) all.set(`vision_tower.${encoderKey(key)}`, tensor);
    sources += ` + ${own.source}`;
  }
  bindWeights(modules, { source: sources, tensors: all }, spelling);
}

/** A vision encoder that was saved alone by transformers 5 has no `vision_model.` in its keys. */
function encoderKey(key: string): string {
  return /^(embeddings|pre_layrnorm|encoder|post_layernorm)\./.test(key) ? `vision_model.${key}` : key;
}

/** The template that the authors' command line takes for a model of this name. */
export function conversationFor(id: string): PromptTemplate {
  const path = resolve(id);
  const own = basename(path);
  const name = (own.startsWith("checkpoint-") ? `${basename(dirname(path))}_${own}` : own).toLowerCase();
  if (name.includes("llama-2")) return llavaLlama2;
  if (name.includes("mistral")) return mistralInstruct;
  if (name.includes("v1.6-34b")) return chatmlDirect;
  if (name.includes("v1")) return llavaV1;
  return name.includes("mpt") ? llavaMpt : llavaV0;
}

function originalDialect({ marks }: OriginalLlavaConfig, tokenizer: Tokenizer): Dialect {
  const missing = marks ? ["<im_start>", "<im_end>"].filter((token) => tokenizer.tokenId(token) === undefined) : [];
  if (missing.length > 0) {
    const message = `is true, but the tokenizer has no ${missing.join(" and no ")} (added_tokens.json).`;
    throw new ConfigError("config.json", [{ field: "mm_use_im_start_end", message }]);
  }
  const marked = (text: string) => text.replaceAll(IMAGE_PLACEHOLDER, `<im_start>${IMAGE_PLACEHOLDER}<im_end>`);
  return {
    promptIds: (text, imageTokens, rendered) =>
      splitPromptIds(tokenizer, marks && rendered ? marked(text) : text, { imageTokens, imageTokenId: PICTURE }),
    visiblePrompt: [], // the authors hand over embeddings
    answer: () => strippedAnswer(),
  };
}
