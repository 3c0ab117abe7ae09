/** `config.json` of a published folder: which architecture it is, and what its parts are built from. */
import { type ActivationName, activationNames, ConfigError, parseConfig } from "@waggle/nn";
import { z } from "zod";
import { type Blip2Config, readBlip2Config } from "./blip2-config.ts";
import { conversationModes } from "./conversation-mode.ts";
import { type HoneybeeConfig, isHoneybee, readHoneybeeConfig } from "./honeybee-config.ts";
import type { AuthorsPrompts } from "./llava-original.ts";
import { type OriginalLlavaConfig, originalLlavaClass, originalLlavaNames, readOriginalLlava } from "./llava-original-config.ts";

/** The language models that may stand alone, or under a picture. */
const textModels = {
  llama: "LlamaForCausalLM",
  mistral: "MistralForCausalLM",
  opt: "OPTForCausalLM",
  qwen2: "Qwen2ForCausalLM",
} as const;

export type TextModelType = keyof typeof textModels;

export interface TextPart {
  readonly model_type: TextModelType;
  /** What the language package reads; absent fields have the architecture's defaults. */
  readonly config: Readonly<Record<string, unknown>>;
}

export interface LlavaConfig {
  readonly model_type: "llava";
  readonly text: TextPart;
  readonly vision: Readonly<Record<string, unknown>>;
  /** Which hidden states of the vision encoder are used; several are joined along their width. */
  readonly vision_feature_layer: number | readonly number[];
  /** "default" drops the class token, "full" keeps it. */
  readonly vision_feature_select_strategy: "default" | "full";
  readonly projector_hidden_act: ActivationName;
  readonly multimodal_projector_bias: boolean;
  readonly image_token_id: number;
  /** LLaVA-NeXT: [height, width] of the canvases that pictures are cut into tiles on. null: one view per picture. */
  readonly image_grid_pinpoints: readonly (readonly [number, number])[] | null;
  /** Prompts as LLaVA's authors make them, who published the model in another layout; null: as transformers does. */
  readonly original: AuthorsPrompts | null;
}

export interface TextModelConfig {
  readonly model_type: "text";
  readonly text: TextPart;
}

/** A MiniGPT-4 in the one folder that `convert` writes. */
export interface MiniGpt4Config {
  readonly model_type: "minigpt4";
  readonly fields: Readonly<Record<string, unknown>>;
}

export type ModelConfig = LlavaConfig | OriginalLlavaConfig | HoneybeeConfig | MiniGpt4Config | Blip2Config | TextModelConfig;

/** What LlavaConfig of transformers assumes where there is no vision_config: CLIP ViT-L/14 at 336 pixels. */
const visionDefaults = {
  model_type: "clip_vision_model",
  hidden_size: 1024,
  intermediate_size: 4096,
  num_hidden_layers: 24,
  num_attention_heads: 16,
  image_size: 336,
  patch_size: 14,
  projection_dim: 768,
};

const supported = [
  `llava (LlavaForConditionalGeneration with a CLIP vision encoder)`,
  `llava_next (LlavaNextForConditionalGeneration with a CLIP vision encoder)`,
  ...originalLlavaNames,
  "mllm (HoneybeeForConditionalGeneration)",
  "minigpt4",
  "blip-2 (Blip2ForConditionalGeneration with OPT)",
  ...Object.entries(textModels).map(([type, name]) => `${type} (${name})`),
];

const head = z.looseObject({
  model_type: z.string().optional(),
  architectures: z.array(z.string()).nullish(),
  quantization_config: z.unknown().optional(),
});
const part = z.record(z.string(), z.unknown());
const layer = z.int();
const llava = z.looseObject({
  text_config: part.nullish(),
  vision_config: part.nullish(),
  vision_feature_layer: z.union([layer, z.array(layer).min(1)]).default(-2),
  vision_feature_select_strategy: z.enum(["default", "full"]).default("default"),
  projector_hidden_act: z.enum(activationNames).default("gelu"),
  multimodal_projector_bias: z.boolean().default(true),
  image_token_index: z.int().min(0).optional(),
  image_token_id: z.int().min(0).optional(),
  tie_word_embeddings: z.boolean().optional(),
  conv_mode: z.enum(conversationModes).nullish(),
  mm_use_im_start_end: z.boolean().default(false),
});
const next = z.looseObject({
  image_grid_pinpoints: z
    .array(z.tuple([z.int().min(1), z.int().min(1)]))
    .min(1)
    .nullish(),
});
/** What LlavaNextConfig of transformers assumes. */
const nextPinpoints: readonly (readonly [number, number])[] = [
  [336, 672],
  [672, 336],
  [672, 672],
  [1008, 336],
  [336, 1008],
];

/** Reads a parsed config.json; `file` is what errors call it. */
export function readModelConfig(json: unknown, file: string): ModelConfig {
  const { model_type, architectures, quantization_config } = parseConfig(file, head, json);
  if (quantization_config)
    throw new ConfigError(file, [
      { field: "quantization_config", message: "quantised checkpoints are not supported. Use the float16 or float32 one." },
    ]);
  const classes = architectures ?? [];
  if (model_type === "llava" && classes.every((name) => name === "LlavaForConditionalGeneration")) return readLlava(json, file);
  if (model_type === "llava_next" && classes.every((name) => name === "LlavaNextForConditionalGeneration")) {
    const { image_grid_pinpoints } = parseConfig(file, next, json);
    return { ...readLlava(json, file), image_grid_pinpoints: image_grid_pinpoints ?? nextPinpoints };
  }
  const original = originalLlavaClass(model_type, classes);
  if (original !== undefined) return readOriginalLlava(json, file, original);
  if (isHoneybee(model_type, classes)) return readHoneybeeConfig(json, file);
  if (model_type === "blip-2" && classes.every((name) => name === "Blip2ForConditionalGeneration")) return readBlip2Config(json, file);
  if (model_type === "minigpt4") return { model_type, fields: parseConfig(file, part, json) };
  if (isTextModel(model_type) && classes.every((name) => name === textModels[model_type])) {
    return { model_type: "text", text: { model_type, config: parseConfig(file, part, json) } };
  }
  const got = `${model_type ?? "no model_type"}${classes.length > 0 ? ` (${classes.join(", ")})` : ""}`;
  throw new ConfigError(file, [{ field: "model_type", message: `${got} is not supported. Supported are ${supported.join(", ")}.` }]);
}

function readLlava(json: unknown, file: string): LlavaConfig {
  const config = parseConfig(file, llava, json);
  const text = config.text_config ?? {};
  const vision = config.vision_config ?? visionDefaults;
  const model_type = text.model_type ?? "llama";
  if (!isTextModel(model_type)) throw unsupportedPart(file, "text_config.model_type", model_type, Object.keys(textModels));
  const encoder = vision.model_type ?? visionDefaults.model_type;
  if (encoder !== visionDefaults.model_type) throw unsupportedPart(file, "vision_config.model_type", encoder, [visionDefaults.model_type]);
  const tied = text.tie_word_embeddings === true || config.tie_word_embeddings === true;
  return {
    model_type: "llava",
    text: { model_type, config: { ...text, tie_word_embeddings: tied } },
    vision,
    vision_feature_layer: config.vision_feature_layer,
    vision_feature_select_strategy: config.vision_feature_select_strategy,
    projector_hidden_act: config.projector_hidden_act,
    multimodal_projector_bias: config.multimodal_projector_bias,
    image_token_id: config.image_token_id ?? config.image_token_index ?? 32_000,
    image_grid_pinpoints: null,
    original: config.conv_mode ? { conv_mode: config.conv_mode, marks: config.mm_use_im_start_end } : null,
  };
}

function isTextModel(type: unknown): type is TextModelType {
  return typeof type === "string" && Object.hasOwn(textModels, type);
}

function unsupportedPart(file: string, field: string, got: unknown, known: readonly string[]): ConfigError {
  return new ConfigError(file, [{ field, message: `${JSON.stringify(got)} is not supported. Supported: ${known.join(", ")}.` }]);
}
