import { expect, test } from "vitest";
import { publishedKey } from "./checkpoint-keys.ts";

test.each([
  [
    "vision_tower.vision_model.encoder.layers.0.mlp.fc1.bias",
    "model.vision_tower.vision_model.encoder.layers.0.mlp.fc1.bias",
    "model.vision_tower.encoder.layers.0.mlp.fc1.bias",
  ],
  [
    "vision_tower.vision_model.embeddings.class_embedding",
    "model.vision_tower.vision_model.embeddings.class_embedding",
    "model.vision_tower.embeddings.class_embedding",
  ],
  ["multi_modal_projector.linear_1.weight", "model.multi_modal_projector.linear_1.weight", "model.multi_modal_projector.linear_1.weight"],
  [
    "language_model.model.layers.3.mlp.up_proj.weight",
    "model.language_model.layers.3.mlp.up_proj.weight",
    "model.language_model.layers.3.mlp.up_proj.weight",
  ],
  ["language_model.lm_head.weight", "lm_head.weight", "lm_head.weight"],
])("%s is found under each of its spellings", (published, middle, newest) => {
  expect([published, middle, newest].map(publishedKey)).toEqual([published, published, published]);
});

test("a key of nobody stays what it is, and is reported as such", () => {
  expect(publishedKey("image_newline")).toBe("image_newline");
  expect(publishedKey("model.image_newline")).toBe("image_newline");
});
