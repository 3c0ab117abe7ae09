/**
 * `config.json` in the layout of LLaVA's authors, where the language model's fields and the others (`mm_…`) lie side by
 * side, and in that of TinyLLaVA Factory, which keeps them apart.
 *
 * reference  haotian-liu/LLaVA `LlavaConfig`, TinyLLaVA_Factory `TinyLlavaConfig`
 */
import { ConfigError, type ConfigProblem, parseConfig } from "@waggle/nn";
import { z } from "zod";
import { type ConversationMode, conversationModes } from "./conversation-mode.ts";
import { type MergeType, mergeTypes } from "./tile-merge.ts";

type Fields = Readonly<Record<string, unknown>>;

export interface OriginalLlavaConfig {
  readonly model_type: "llava_llama";
  readonly layout: "llava" | "tinyllava";
  readonly text: { readonly model_type: "llama" | "mistral" | "qwen2"; readonly config: Fields };
  /** The vision encoder's folder beside config.json, or its hub id. */
  readonly vision_tower: string | null;
  /** Its vision_config, where config.json holds it; else the config.json in its folder counts. */
  readonly vision: Fields | null;
  readonly vision_hidden_size: number | null;
  readonly vision_feature_layer: number;
  readonly vision_feature_select: "patch" | "cls_patch";
  /** Linear maps with GELU between them; 0: none at all. */
  readonly projector_depth: number;
  readonly image_aspect_ratio: "square" | "pad" | "anyres";
  readonly image_grid_pinpoints: unknown;
  readonly merge: MergeType;
  /** `<im_start>` and `<im_end>` around every picture of a conversation. */
  readonly marks: boolean;
  /** Which conversation template; null: the model's name says it. */
  readonly conv_mode: ConversationMode | null;
}

const classes = new Map<string, readonly [layout: OriginalLlavaConfig["layout"], text: "llama" | "mistral"]>([
  ["LlavaLlamaForCausalLM", ["llava", "llama"]],
  ["LlavaMistralForCausalLM", ["llava", "mistral"]],
  ["TinyLlavaForConditionalGeneration", ["tinyllava", "llama"]],
]);
const modelTypes = new Map([
  ["llava_llama", "LlavaLlamaForCausalLM"],
  ["llava_mistral", "LlavaMistralForCausalLM"],
  ["tinyllava", "TinyLlavaForConditionalGeneration"],
]);

export const originalLlavaNames: readonly string[] = [
  "llava_llama, llava (LlavaLlamaForCausalLM)",
  "llava_mistral (LlavaMistralForCausalLM)",
  "tinyllava (TinyLlavaForConditionalGeneration)",
];

/** The class that reads this config.json, if it is one of these layouts. */
export function originalLlavaClass(model_type: string | undefined, architectures: readonly string[]): string | undefined {
  const known = architectures.find((name) => classes.has(name));
  if (known !== undefined && (model_type === "llava" || modelTypes.has(model_type ?? ""))) return known;
  return architectures.length === 0 ? modelTypes.get(model_type ?? "") : undefined;
}

const depths = /^mlp(\d+)x_gelu$/;
const projectorType = z
  .string()
  .refine((type) => type === "linear" || type === "identity" || depthOf(type) > 0, {
    error: ({ input }) => `${JSON.stringify(input)} is not supported. Supported: linear, mlp{N}x_gelu with N up to 64, identity.`,
  })
  .nullish();
const aspect = z
  .enum(["square", "pad", "anyres"], { error: ({ input }) => `${JSON.stringify(input)} is not supported. Supported: square, pad, anyres.` })
  .nullish();
const never = (what: string) => z.union([z.literal(false), z.null()], { error: `${what} is not supported.` }).optional();

const original = z.looseObject({
  mm_vision_tower: z.string().nullish(),
  vision_tower: z.string().nullish(),
  mm_hidden_size: z.int().min(1).nullish(),
  mm_projector_type: projectorType,
  mm_vision_select_layer: z.int().default(-2),
  mm_vision_select_feature: z.enum(["patch", "cls_patch"]).default("patch"),
  mm_use_im_start_end: z.boolean().default(false),
  mm_patch_merge_type: z.enum(mergeTypes).nullish(),
  conv_mode: z.enum(conversationModes).nullish(),
  mm_resampler_type: never("a resampler"),
  s2: never("S2, an encoder that looks at several scales,"),
  image_aspect_ratio: aspect,
  image_grid_pinpoints: z.unknown().optional(),
});
const part = z.record(z.string(), z.unknown());
const tiny = z.looseObject({
  vision_model_name_or_path: z.string().nullish(),
  vision_model_name_or_path2: z.literal("", { error: "a second vision encoder is not supported." }).nullish(),
  connector_type: projectorType,
  text_config: part.nullish(),
  vision_config: part.nullish(),
  vision_hidden_size: z.int().min(1).nullish(),
  conv_mode: z.enum(conversationModes).nullish(),
  vision_feature_layer: z.int().default(-2),
  vision_feature_select_strategy: z.enum(["patch", "cls_patch"]).default("patch"),
  image_aspect_ratio: aspect,
  tie_word_embeddings: z.boolean().optional(),
});

/** Reads a parsed config.json; `file` is what errors call it. */
export function readOriginalLlava(json: unknown, file: string, architecture: string): OriginalLlavaConfig {
  const [layout, language] = classes.get(architecture) ?? ["llava", "llama"];
  return layout === "llava" ? readOriginal(json, file, language) : readTiny(json, file);
}

function readOriginal(json: unknown, file: string, model_type: "llama" | "mistral"): OriginalLlavaConfig {
  const config = parseConfig(file, original, json);
  const vision_tower = config.mm_vision_tower ?? config.vision_tower ?? null;
  const merge = config.mm_patch_merge_type ?? "flat";
  const anyres = config.image_aspect_ratio === "anyres";
  const problems: ConfigProblem[] = [];
  if (vision_tower === null)
    problems.push({ field: "mm_vision_tower", message: "is missing: the folder or hub id of the vision encoder." });
  if (anyres && config.image_grid_pinpoints == null)
    problems.push({ field: "image_grid_pinpoints", message: 'is missing, but image_aspect_ratio is "anyres".' });
  if (anyres && merge !== "flat" && config.mm_vision_select_feature === "cls_patch")
    problems.push({
      field: "mm_vision_select_feature",
      message: `"cls_patch" has one feature too many for mm_patch_merge_type "${merge}".`,
    });
  if (problems.length > 0) throw new ConfigError(file, problems);
  return {
    model_type: "llava_llama",
    layout: "llava",
    text: { model_type, config },
    vision_tower,
    vision: null,
    vision_hidden_size: config.mm_hidden_size ?? null,
    vision_feature_layer: config.mm_vision_select_layer,
    vision_feature_select: config.mm_vision_select_feature,
    projector_depth: depthOf(config.mm_projector_type ?? "linear"),
    image_aspect_ratio: config.image_aspect_ratio ?? "square",
    image_grid_pinpoints: config.image_grid_pinpoints,
    merge,
    marks: config.mm_use_im_start_end,
    conv_mode: config.conv_mode ?? null,
  };
}

function readTiny(json: unknown, file: string): OriginalLlavaConfig {
  const config = parseConfig(file, tiny, json);
  const text = config.text_config ?? {};
  const model_type = text.model_type ?? "llama";
  if (model_type !== "llama" && model_type !== "mistral" && model_type !== "qwen2")
    throw new ConfigError(file, [
      { field: "text_config.model_type", message: `${JSON.stringify(model_type)} is not supported. Supported: llama, mistral, qwen2.` },
    ]);
  if (config.image_aspect_ratio === "anyres")
    throw new ConfigError(file, [
      { field: "image_aspect_ratio", message: '"anyres" is not supported in this layout. Supported: square, pad.' },
    ]);
  const tied = text.tie_word_embeddings === true || config.tie_word_embeddings === true;
  return {
    model_type: "llava_llama",
    layout: "tinyllava",
    text: { model_type, config: { ...text, tie_word_embeddings: tied } },
    vision_tower: config.vision_model_name_or_path || null,
    vision: config.vision_config ?? null,
    vision_hidden_size: config.vision_hidden_size ?? null,
    vision_feature_layer: config.vision_feature_layer,
    vision_feature_select: config.vision_feature_select_strategy,
    projector_depth: depthOf(config.connector_type ?? "linear"),
    image_aspect_ratio: config.image_aspect_ratio ?? "square",
    image_grid_pinpoints: undefined,
    merge: "flat",
    marks: false,
    conv_mode: config.conv_mode ?? null,
  };
}

function depthOf(type: string): number {
  if (type === "linear") return 1;
  const depth = Number(depths.exec(type)?.[1] ?? 0);
  return depth <= 64 ? depth : 0;
}
