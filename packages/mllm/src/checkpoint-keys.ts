/**
 * The keys of a llava-hf checkpoint in its three spellings; the first is how the modules are named.
 *
 *     as published                        in memory, transformers 4.52 to 4.57        in memory, transformers 5
 *     vision_tower.vision_model.*         model.vision_tower.vision_model.*           model.vision_tower.*
 *     multi_modal_projector.*             model.multi_modal_projector.*               model.multi_modal_projector.*
 *     language_model.model.*              model.language_model.*                      model.language_model.*
 *     language_model.lm_head.*            lm_head.*                                   lm_head.*
 *
 * The later ones reach the disk with `save_pretrained(..., save_original_format=False)`.
 */
export function publishedKey(key: string): string {
  if (key.startsWith("lm_head.")) return `language_model.${key}`;
  const name = key.startsWith("model.") ? key.slice("model.".length) : key;
  if (name !== key && name.startsWith("language_model.")) return name.replace("language_model.", "language_model.model.");
  if (name.startsWith("vision_tower.") && !name.startsWith("vision_tower.vision_model.")) {
    return name.replace("vision_tower.", "vision_tower.vision_model.");
  }
  return name;
}
