/**
 * Keys of LLaVA's original layout in the composition's spelling.
 *
 *     model.vision_tower.vision_tower.*                  vision_tower.*
 *     model.mm_projector.{0, 2, …}.* · model.mm_projector.*   multi_modal_projector.linear_{1, 2, …}.*
 *     model.image_newline                                image_newline
 *     model.* · lm_head.*                                language_model.*
 *
 * The vision encoder's own files are read with `vision_tower.` in front.
 */
import { originalMlpKey } from "@waggle/projectors";

export function originalLlavaKey(key: string): string {
  const projector = originalMlpKey(key);
  if (projector !== null) return `multi_modal_projector.${projector}`;
  if (key === "model.image_newline") return "image_newline";
  const encoder = /^(?:model\.)?vision_tower\.vision_tower\.(.*)$/s.exec(key)?.[1];
  if (encoder !== undefined) return `vision_tower.${encoder}`;
  return /^(model|lm_head)\./.test(key) ? `language_model.${key}` : key;
}

/**
 * The same for TinyLLaVA Factory.
 *
 *     vision_tower._vision_tower.*               vision_tower.*
 *     connector._connector.{0, 2, …}.* · connector._connector.*   multi_modal_projector.linear_{1, 2, …}.*
 *     language_model.*                           language_model.*
 */
export function tinyLlavaKey(key: string): string {
  const connector = /^connector\._connector\.(.*)$/s.exec(key)?.[1];
  if (connector !== undefined) return originalLlavaKey(`mm_projector.${connector}`);
  return key.replace(/^vision_tower\._vision_tower\./, "vision_tower.");
}
