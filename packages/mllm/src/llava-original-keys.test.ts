import { expect, test } from "vitest";
import { originalLlavaKey, tinyLlavaKey } from "./llava-original-keys.ts";

test.each([
  ["model.embed_tokens.weight", "language_model.model.embed_tokens.weight"],
  ["model.layers.31.self_attn.q_proj.weight", "language_model.model.layers.31.self_attn.q_proj.weight"],
  ["lm_head.weight", "language_model.lm_head.weight"],
  ["model.mm_projector.weight", "multi_modal_projector.linear_1.weight"],
  ["model.mm_projector.0.bias", "multi_modal_projector.linear_1.bias"],
  ["model.mm_projector.4.weight", "multi_modal_projector.linear_3.weight"],
  ["model.image_newline", "image_newline"],
  ["model.vision_tower.vision_tower.vision_model.pre_layrnorm.weight", "vision_tower.vision_model.pre_layrnorm.weight"],
  ["vision_tower.vision_model.pre_layrnorm.weight", "vision_tower.vision_model.pre_layrnorm.weight"],
  ["model.mm_projector.1.weight", "multi_modal_projector.model.mm_projector.1.weight"], // no such place: loading names it
])("originalLlavaKey: %s", (key, expected) => expect(originalLlavaKey(key)).toBe(expected));

test.each([
  ["language_model.model.norm.weight", "language_model.model.norm.weight"],
  ["vision_tower._vision_tower.vision_model.embeddings.class_embedding", "vision_tower.vision_model.embeddings.class_embedding"],
  ["connector._connector.2.weight", "multi_modal_projector.linear_2.weight"],
  ["connector._connector.weight", "multi_modal_projector.linear_1.weight"],
])("tinyLlavaKey: %s", (key, expected) => expect(tinyLlavaKey(key)).toBe(expected));
