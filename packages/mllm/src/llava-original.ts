/**
 * LLaVA as its authors publish it: 1, 1.5 and 1.6, and TinyLLaVA Factory's models. The vision encoder is a CLIP of its
 * own, which `mm_vision_tower` names; where the shards hold one too (LLaVA-1.6 trained it), theirs counts.
 *
 *     ids    the texts between the pictures, each tokenized alone; BOS once
 *
 * reference  haotian-liu/LLaVA `load_pretrained_model`, `process_images`, `tokenizer_image_token`
 */
import { openCheckpoint } from "@waggle/checkpoint";
import { llavaEncoder } from "@waggle/data";
import { type ImageProcessor, imageProcessor } from "@waggle/image";
import { type Adapter, ConfigError, type Module, type StateDict } from "@waggle/nn";
import { identity, mlp } from "@waggle/projectors";
import {
  IMAGE_PLACEHOLDER,
  llavaLlama2,
  llavaMpt,
  llavaV0,
  llavaV1,
  loadTokenizer,
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
import { type ConversationMode, conversationModeFor, conversations } from "./conversation-mode.ts";
import { type Dialect, strippedAnswer } from "./dialect.ts";
import { type EncoderFolder, openEncoderFolder } from "./encoder-folder.ts";
import type { OriginalLlavaConfig } from "./llava-original-config.ts";
import { originalLlavaKey, tinyLlavaKey } from "./llava-original-keys.ts";
import type { LoadOptions } from "./load-options.ts";
import { adapted, type ModelFolder, openBaseWeights, openWeights } from "./model-folder.ts";
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
  const { composition, processor, state } = await openOriginalLlava(config, model, options);
  bindWeights(composition.modules, state, originalLlavaSpelling(config));
  const prompts = { conv_mode: conversationModeOf(config, model.id), marks: config.marks };
  return authorsAssembly(composition, processor, prompts, { folder: model.base, options, began });
}

/** How prompts become ids. */
export interface AuthorsPrompts {
  readonly conv_mode: ConversationMode;
  /** `<im_start>` and `<im_end>` around every picture of a conversation. */
  readonly marks: boolean;
}

/** A composition that has its weights, with prompts as LLaVA's authors make them. */
export async function authorsAssembly(
  composition: Composition,
  processor: ImageProcessor,
  { conv_mode, marks }: AuthorsPrompts,
  { folder, options, began }: { readonly folder: string; readonly options: LoadOptions; readonly began: number },
): Promise<Assembly> {
  const tokenizer = await loadTokenizer(folder, { files: "sentencepiece" }); // the authors: use_fast=False
  const template = options.prompt ?? conversations[conv_mode];
  return assemblyOf(composition, {
    tokenizer,
    processor,
    template,
    tokenId: PICTURE,
    dialect: originalDialect(marks, tokenizer, template),
    defaults: await generationDefaults(folder, tokenizer),
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
    prompt: conversations[conversationModeOf(config, model.id)],
    ...(processor.anyres && { tiles: tileMerge(processor.anyres, vision.grid.columns, merge) }),
  });
  return { composition, processor };
}

/** The composition's spelling of the layout's keys. */
export function originalLlavaSpelling({ layout }: OriginalLlavaConfig): (key: string) => string {
  return spellings[layout];
}

export interface OpenedLlava {
  /** Without weights. */
  readonly composition: Composition;
  readonly processor: ImageProcessor;
  readonly encoder: EncoderFolder;
  /** The weights of the folder and its base, and those of the vision encoder's folder where they hold none. */
  readonly state: StateDict;
}

export async function openOriginalLlava(config: OriginalLlavaConfig, model: ModelFolder, options: LoadOptions): Promise<OpenedLlava> {
  const spelling = originalLlavaSpelling(config);
  const { adapter } = model;
  // What an adapter changes in the encoder can only be changed once its folder is open; any other is tried on its base before.
  const waits = changedKeys(adapter, spelling).some((key) => key.startsWith("vision_tower."));
  const { source, tensors } = await (waits ? openBaseWeights : openWeights)(model, options, spelling);
  const encoder = await openEncoderFolder(config, model, options);
  const parts = originalLlava(config, model, encoder);
  const { vision_tower, image_newline } = parts.composition.modules;
  const all = new Map(tensors);
  const withAdapter = (base: string): OpenedLlava => {
    const { source, tensors } = adapted({ source: base, tensors: all }, waits ? adapter : null, spelling);
    const read = [...tensors].filter(([key]) => image_newline || key !== "model.image_newline"); // only tiles that are unpadded have use for it
    return { ...parts, encoder, state: { source, tensors: new Map(read) } };
  };
  const holdsEncoder = Array.from(tensors.keys(), spelling).some((key) => key.startsWith("vision_tower."));
  if (holdsEncoder || replacesAll(adapter, vision_tower, spelling)) return withAdapter(source);
  const own: StateDict = await openCheckpoint(await encoder.weights(), options.signal ? { signal: options.signal } : {});
  for (const [key, tensor] of own.tensors) all.set(`vision_tower.${encoderKey(key)}`, tensor);
  return withAdapter(`${source} + ${own.source}`);
}

function changedKeys(adapter: Adapter | null, spelling: (key: string) => string): string[] {
  return [...(adapter?.updates.keys() ?? []), ...(adapter?.replacements.keys() ?? [])].map(spelling);
}

/** Was the whole encoder trained? Then its folder is not needed. */
function replacesAll(adapter: Adapter | null, encoder: Module, spelling: (key: string) => string): boolean {
  const held = new Set(Array.from(adapter?.replacements.keys() ?? [], spelling));
  return Array.from(encoder.namedParameters("vision_tower"), ([path]) => path).every((path) => held.has(path));
}

/** A vision encoder that was saved alone by transformers 5 has no `vision_model.` in its keys. */
function encoderKey(key: string): string {
  return /^(embeddings|pre_layrnorm|encoder|post_layernorm)\./.test(key) ? `vision_model.${key}` : key;
}

/** What config.json says, or the authors' choice for a model of this name. */
export function conversationModeOf({ layout, conv_mode }: OriginalLlavaConfig, id: string): ConversationMode {
  return conv_mode ?? (layout === "tinyllava" ? "vicuna_v1" : conversationModeFor(id));
}

/** Those that the authors trained with; the others were added for inference. */
const trained: ReadonlySet<PromptTemplate> = new Set([vicunaV1, llavaV1, llavaV0, llavaLlama2, llavaMpt]);

function originalDialect(marks: boolean, tokenizer: Tokenizer, template: PromptTemplate): Dialect {
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
    ...(trained.has(template) && { encoder: llavaEncoder({ tokenizer, template, mm_use_im_start_end: marks }) }),
    answer: () => strippedAnswer(),
  };
}
