/** The sizes of an EVA-CLIP tower, spelled as in BLIP-2's `vision_config`. What is left out is ViT-g/14 of BLIP-2 and MiniGPT-4. */
import { type ActivationName, ConfigError, checkOptions, parseConfig } from "@waggle/nn";
import { z } from "zod";
import { activationField, completed, flag, positive, sizeProblems, visionObject, whole } from "./config-fields.ts";
import { type PictureSize, type PictureSizeOption, patchGrid, pictureProblems, pictureSize } from "./picture-size.ts";
import type { Grid } from "./vision-encoder.ts";

/** Fields that say nothing about the numbers are passed over. */
export interface EvaVisionConfig {
  readonly hidden_size?: number;
  readonly intermediate_size?: number;
  readonly num_hidden_layers?: number;
  readonly num_attention_heads?: number;
  /** Pictures that the positions were trained with. */
  readonly image_size?: number;
  readonly patch_size?: number;
  readonly hidden_act?: ActivationName;
  /** Biases of queries and values; keys have none. */
  readonly qkv_bias?: boolean;
  readonly layer_norm_eps?: number;
  /** Of the norm behind the last block. Default: layer_norm_eps, as in transformers; LAVIS and MiniGPT-4 have 1e-5 there. */
  readonly ln_vision_eps?: number;
}

export type EvaVision = Required<EvaVisionConfig>;

const defaults = {
  hidden_size: 1_408,
  intermediate_size: 6_144,
  num_hidden_layers: 39,
  num_attention_heads: 16,
  image_size: 224,
  patch_size: 14,
  hidden_act: "gelu",
  qkv_bias: true,
  layer_norm_eps: 1e-6,
};

const schema = z
  .object(
    {
      hidden_size: whole("hidden_size"),
      intermediate_size: whole("intermediate_size"),
      num_hidden_layers: whole("num_hidden_layers"),
      num_attention_heads: whole("num_attention_heads"),
      image_size: whole("image_size"),
      patch_size: whole("patch_size"),
      hidden_act: activationField,
      qkv_bias: flag,
      layer_norm_eps: positive,
      ln_vision_eps: positive.optional(),
    },
    visionObject,
  )
  .check(
    z.superRefine((sizes, context) => {
      for (const { field, message } of sizeProblems(sizes)) context.addIssue({ code: "custom", path: [field], message });
    }),
  );

/** The configuration, checked whole and completed, or one ConfigError that lists every mistake. */
export function parseEvaVisionConfig(config: unknown): EvaVision {
  const { ln_vision_eps, ...fields } = parseConfig("EvaVisionConfig", schema, completed(config, defaults));
  return { ...fields, ln_vision_eps: ln_vision_eps ?? fields.layer_norm_eps };
}

export interface EvaOptions {
  /** Default "keep": a Q-Former looks at it too. */
  readonly classToken?: "drop" | "keep";
  /** For pictures of another size than the tower was trained with: the positions are interpolated. */
  readonly image_size?: PictureSizeOption;
}

export interface EvaSelection {
  readonly classToken: "drop" | "keep";
  readonly image_size: PictureSize;
  readonly grid: Grid;
}

export function selectEva({ image_size: trained, patch_size }: EvaVision, options: EvaOptions): EvaSelection {
  checkOptions("eva", options, ["classToken", "image_size"]);
  const { classToken = "keep", image_size = trained } = options;
  const size = pictureSize(image_size);
  const problems = pictureProblems(size, patch_size);
  if (classToken !== "drop" && classToken !== "keep") {
    problems.push({ field: "classToken", message: `expected "drop" or "keep", got ${JSON.stringify(classToken)}.` });
  }
  if (problems.length > 0) throw new ConfigError("eva", problems);
  return { classToken, image_size: size, grid: patchGrid(size, patch_size) };
}
