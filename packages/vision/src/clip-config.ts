/** `vision_config` of a CLIP checkpoint: what may stand in it, what is assumed where it is silent, and what is refused. */
import { type ActivationName, parseConfig } from "@waggle/nn";
import { z } from "zod";
import { activationField, completed, notNegative, positive, sizeProblems, visionObject, whole } from "./config-fields.ts";

/** As in `config.json`. What is left out has transformers' default; fields that say nothing about the numbers are passed over. */
export interface ClipVisionConfig {
  readonly hidden_size?: number;
  readonly intermediate_size?: number;
  readonly num_hidden_layers?: number;
  readonly num_attention_heads?: number;
  readonly num_channels?: number;
  readonly image_size?: number;
  readonly patch_size?: number;
  readonly hidden_act?: ActivationName;
  readonly layer_norm_eps?: number;
  /** Standard deviation of new patch and position embeddings. Default 0.02. */
  readonly initializer_range?: number;
  /** By which the standard deviations of all new weights are multiplied. Default 1. */
  readonly initializer_factor?: number;
}

export type ClipVision = Required<ClipVisionConfig>;

const defaults: ClipVision = {
  hidden_size: 768,
  intermediate_size: 3_072,
  num_hidden_layers: 12,
  num_attention_heads: 12,
  num_channels: 3,
  image_size: 224,
  patch_size: 32,
  hidden_act: "quick_gelu",
  layer_norm_eps: 1e-5,
  initializer_range: 0.02,
  initializer_factor: 1,
};

const schema = z
  .object(
    {
      hidden_size: whole("hidden_size"),
      intermediate_size: whole("intermediate_size"),
      num_hidden_layers: whole("num_hidden_layers"),
      num_attention_heads: whole("num_attention_heads"),
      num_channels: whole("num_channels"),
      image_size: whole("image_size"),
      patch_size: whole("patch_size"),
      hidden_act: activationField,
      layer_norm_eps: positive,
      initializer_range: notNegative,
      initializer_factor: notNegative,
    },
    visionObject,
  )
  .check(
    z.superRefine((sizes, context) => {
      for (const { field, message } of sizeProblems(sizes)) context.addIssue({ code: "custom", path: [field], message });
    }),
  );

/** The configuration, checked whole and completed, or one ConfigError that lists every mistake. */
export function parseClipVisionConfig(config: unknown): ClipVision {
  return parseConfig("ClipVisionConfig", schema, completed(config, defaults));
}
