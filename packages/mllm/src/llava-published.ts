/**
 * LLaVA as its authors publish it, brought to the layout of Hugging Face transformers (`LlavaForConditionalGeneration`) as
 * far as that goes: a projector of two linear maps, one view per picture. Other projectors, and tiles, stay in the
 * authors' layout, with the vision encoder inside.
 *
 *     config.json            text_config, vision_config, …; and, of no meaning to transformers, conv_mode and
 *                            mm_use_im_start_end: with them `load` makes ids of prompts as the authors do
 *     tokenizer, both tables one token more, `<image>`; its rows are the mean of the others, so that it is never the best
 *     chat_template.jinja    the conversation that conv_mode names
 */
import { join } from "node:path";
import type { TensorSource } from "@waggle/checkpoint";
import { optionalObject } from "./assets.ts";
import { bindWeights } from "./bind.ts";
import type { Composition } from "./compose.ts";
import { type ConversationMode, conversations } from "./conversation-mode.ts";
import type { EncoderFolder } from "./encoder-folder.ts";
import { jinjaTemplate } from "./jinja-template.ts";
import { imageToken, withImageRow } from "./llava-image-token.ts";
import { conversationModeOf, openOriginalLlava, originalLlavaSpelling } from "./llava-original.ts";
import type { OriginalLlavaConfig } from "./llava-original-config.ts";
import type { LoadOptions } from "./load-options.ts";
import type { LlavaConfig } from "./model-config.ts";
import type { ModelFolder } from "./model-folder.ts";
import type { PublishedModel } from "./published-model.ts";
import { usedTensors } from "./used-tensors.ts";

type Fields = Readonly<Record<string, unknown>>;

export async function publishedLlava(config: OriginalLlavaConfig, model: ModelFolder, options: LoadOptions): Promise<PublishedModel> {
  const { composition, encoder, state } = await openOriginalLlava(config, model, options);
  const spelling = originalLlavaSpelling(config);
  bindWeights(composition.modules, state, spelling);
  const tensors = usedTensors(composition.modules, state, spelling);
  const conv_mode = conversationModeOf(config, model.id);
  if (config.projector_depth !== 2 || config.image_aspect_ratio === "anyres")
    return inAuthorsLayout(config, model, encoder, conv_mode, tensors);
  const token = await imageToken(model.base, config.marks);
  const vision_feature_select_strategy = config.vision_feature_select === "cls_patch" ? "full" : "default";
  const named = new Map(Array.from(tensors, ([key, tensor]) => [spelling(key), withImageRow(spelling(key), tensor, token.id)]));
  return {
    config: {
      ...transformersConfig(config, encoder, composition, token.id, Array.from(named.keys())),
      vision_feature_select_strategy,
      conv_mode,
      mm_use_im_start_end: config.marks,
    },
    tensors: named,
    tokenizer: model.base,
    settings: model.base,
    files: new Map<string, Fields | string>([
      ...token.files,
      ["preprocessor_config.json", preprocessor(config, encoder)],
      [
        "processor_config.json",
        processorConfig({ vision: encoder.vision_config, vision_feature_select_strategy, image_grid_pinpoints: null }),
      ],
      ["chat_template.jinja", jinjaTemplate(conversations[conv_mode], token.picture)],
    ]),
  };
}

/** The authors' layout with everything in one place. */
async function inAuthorsLayout(
  { layout }: OriginalLlavaConfig,
  { config, base }: ModelFolder,
  { vision_config, preprocessor }: EncoderFolder,
  conv_mode: ConversationMode,
  tensors: ReadonlyMap<string, TensorSource>,
): Promise<PublishedModel> {
  const fields = await optionalObject(join(config, "config.json"));
  const [field, prefix] =
    layout === "llava"
      ? ["mm_vision_tower", "model.vision_tower.vision_tower."]
      : ["vision_model_name_or_path", "vision_tower._vision_tower."];
  return {
    config: { ...fields, [field]: "vision_tower", conv_mode },
    tensors: new Map(Array.from(tensors, ([key, tensor]) => [key.replace(/^vision_tower\.(?=vision_model\.)/, prefix), tensor])),
    tokenizer: base,
    settings: base,
    files: new Map<string, Fields | string>([
      ["vision_tower/config.json", { ...vision_config, model_type: "clip_vision_model" }],
      ["vision_tower/preprocessor_config.json", preprocessor],
    ]),
  };
}

/** Language models' sizes and settings; what else the authors' config.json holds is LLaVA's. */
const textFields = [
  "vocab_size",
  "hidden_size",
  "intermediate_size",
  "num_hidden_layers",
  "num_attention_heads",
  "num_key_value_heads",
  "head_dim",
  "hidden_act",
  "max_position_embeddings",
  "rms_norm_eps",
  "rope_theta",
  "rope_scaling",
  "rope_parameters",
  "attention_bias",
  "mlp_bias",
  "attention_dropout",
  "sliding_window",
  "use_sliding_window",
  "max_window_layers",
  "layer_types",
  "initializer_range",
  "pretraining_tp",
  "use_cache",
  "bos_token_id",
  "eos_token_id",
  "pad_token_id",
  "tie_word_embeddings",
];
const visionFields = [
  "hidden_size",
  "intermediate_size",
  "projection_dim",
  "num_hidden_layers",
  "num_attention_heads",
  "num_channels",
  "image_size",
  "patch_size",
  "hidden_act",
  "layer_norm_eps",
  "attention_dropout",
  "initializer_range",
];

function transformersConfig(
  config: OriginalLlavaConfig,
  { vision_config }: EncoderFolder,
  { tokensPerImage, modules }: Composition,
  image_token_index: number,
  keys: readonly string[],
): Fields {
  const { model_type, config: text } = config.text;
  const tie_word_embeddings = text.tie_word_embeddings === true;
  const vocab_size = Math.max(modules.language_model.vocab_size, image_token_index + 1);
  return {
    architectures: ["LlavaForConditionalGeneration"],
    model_type: "llava",
    image_token_index,
    image_seq_length: tokensPerImage,
    projector_hidden_act: "gelu",
    multimodal_projector_bias: true,
    tie_word_embeddings,
    text_config: { ...picked(text, textFields), model_type, vocab_size, tie_word_embeddings },
    ...visionConfig(vision_config, config.vision_feature_layer, keys),
  };
}

/** As many layers as there are weights for: some files end with the last that is used. */
function visionConfig(encoder: Fields, layer: number, keys: readonly string[]): Fields {
  const held = new Set(keys.flatMap((key) => /^vision_tower\.vision_model\.encoder\.layers\.(\d+)\./.exec(key)?.[1] ?? []));
  const all = typeof encoder.num_hidden_layers === "number" ? encoder.num_hidden_layers : held.size;
  return {
    vision_feature_layer: held.size === all ? layer : layer < 0 ? all + 1 + layer : layer,
    vision_config: { ...picked(encoder, visionFields), model_type: "clip_vision_model", num_hidden_layers: held.size },
  };
}

function preprocessor({ image_aspect_ratio }: OriginalLlavaConfig, { preprocessor }: EncoderFolder): Fields {
  const { feature_extractor_type: _, size, crop_size, ...fields } = preprocessor;
  return {
    ...fields,
    size: typeof size === "number" ? { shortest_edge: size } : size,
    crop_size: typeof crop_size === "number" ? { height: crop_size, width: crop_size } : crop_size,
    image_processor_type: image_aspect_ratio === "pad" ? "LlavaImageProcessor" : "CLIPImageProcessor",
    ...(image_aspect_ratio === "pad" && { do_pad: true }),
    processor_class: "LlavaProcessor",
  };
}

/** processor_config.json, without which transformers does not know how many positions a picture takes. */
export function processorConfig({
  vision,
  vision_feature_select_strategy,
  image_grid_pinpoints,
}: Pick<LlavaConfig, "vision" | "vision_feature_select_strategy" | "image_grid_pinpoints">): Fields {
  return {
    processor_class: image_grid_pinpoints === null ? "LlavaProcessor" : "LlavaNextProcessor",
    image_token: "<image>",
    num_additional_image_tokens: 1, // the class token
    patch_size: vision.patch_size,
    vision_feature_select_strategy,
  };
}

function picked(fields: Fields, names: readonly string[]): Fields {
  return Object.fromEntries(names.flatMap((name) => (fields[name] === undefined ? [] : [[name, fields[name]]])));
}
