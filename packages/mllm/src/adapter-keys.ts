/**
 * What PEFT calls the modules that are trained here: keys of an adapter ↔ paths below `{ vision_tower, multi_modal_projector,
 * language_model }`.
 *
 *     transformers' LLaVA    model.language_model.layers.0.… (in memory since 4.52), model.vision_tower.encoder.… (since 5);
 *                            read in all three spellings
 *     LLaVA's authors        model.layers.0.…, model.mm_projector.0.…
 *     language models        model.layers.0.…
 *     others                 the paths themselves
 */
import { publishedKey } from "./checkpoint-keys.ts";
import { originalLlavaKey } from "./llava-original-keys.ts";

export interface AdapterKeys {
  keyOf(path: string): string;
  pathOf(key: string): string;
}

export const transformersKeys: AdapterKeys = {
  keyOf: (path) =>
    path
      .replace(/^language_model\.model\./, "model.language_model.")
      .replace(/^language_model\./, "")
      .replace(/^vision_tower\.vision_model\./, "vision_tower.")
      .replace(/^(vision_tower|multi_modal_projector|image_newline)\b/, "model.$1"),
  pathOf: publishedKey,
};

/** `depth`: linear layers of the projector. */
export function authorsKeys(depth: number): AdapterKeys {
  const layer = (number: string | undefined): string => (number === undefined || depth === 1 ? "" : `.${2 * (Number(number) - 1)}`);
  return {
    keyOf: (path) =>
      path
        .replace(/^language_model\./, "")
        .replace(/^multi_modal_projector(?:\.linear_(\d+))?/, (_, number) => `model.mm_projector${layer(number)}`)
        .replace(/^vision_tower\b/, "model.vision_tower.vision_tower")
        .replace(/^image_newline$/, "model.image_newline"),
    pathOf: originalLlavaKey,
  };
}

export const languageKeys: AdapterKeys = {
  keyOf: (path) => path.replace(/^language_model\./, ""),
  pathOf: (key) => `language_model.${key}`,
};

export const ownKeys: AdapterKeys = { keyOf: (path) => path, pathOf: (key) => key };
