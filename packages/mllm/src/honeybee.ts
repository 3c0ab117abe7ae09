/**
 * Honeybee: CLIP → abstractor → Vicuna, as its authors publish it.
 *
 *     vision_model.vision_model.*   vision_tower.vision_model.*
 *     abstractor.*                  multi_modal_projector.*      (tables of positions with a row for the class token lose it)
 *     language_model.*              language_model.*
 *
 *     ids    <s>, then the pieces between pictures and roles, each tokenized alone; −1 at a picture's positions
 *
 * reference  kakaobrain/honeybee `HoneybeeForConditionalGeneration`, `HoneybeeProcessor`
 */

import { createHash } from "node:crypto";
import { readdir } from "node:fs/promises";
import { honeybeeEncoder } from "@waggle/data";
import type { WeightSource } from "@waggle/graph";
import { exactProcessor } from "@waggle/image";
import { ConfigError, type StateDict } from "@waggle/nn";
import { CAbstractor, DAbstractor, HoneybeeMlp, type Projector, Resampler } from "@waggle/projectors";
import { honeybee, honeybeePromptIds, loadTokenizer, type Tokenizer } from "@waggle/text";
import { clip } from "@waggle/vision";
import { bindWeights } from "./bind.ts";
import { buildLanguage } from "./build-language.ts";
import { type Composition, compose, type MultimodalModules } from "./compose.ts";
import type { FamilyPrompt } from "./family.ts";
import type { HoneybeeConfig } from "./honeybee-config.ts";
import type { LoadOptions } from "./load-options.ts";
import { folderOf, ofAnother } from "./start.ts";

/** Honeybee's prompts as the code of May 2024, the authors' last, makes ids of them: split at the roles too. */
export const honeybeePrompt: FamilyPrompt = family("roles");

/** As the code of December 2023 does: split at pictures only. */
export const honeybeePrompt2023: FamilyPrompt = family("pictures");

function family(splitAt: "roles" | "pictures"): FamilyPrompt {
  return {
    ...honeybee,
    tokenId: -1,
    dialect: (tokenizer) => ({
      promptIds: (text, imageTokens) => honeybeePromptIds(tokenizer, text, { imageTokens, splitAt }).ids,
      visiblePrompt: [], // the authors hand over embeddings
      encoder: honeybeeEncoder({ tokenizer }),
      conversation: { top_k: 5, max_new_tokens: 512 }, // their notebook's
    }),
    processor: ({ height }) => exactProcessor({ size: height }),
    bind: bindHoneybee,
  };
}

/** The parts, without weights. */
export function honeybeeComposition(config: HoneybeeConfig, tokenizer?: Tokenizer): Composition {
  const vision = clip(config.vision, { layer: config.feature_layer_index });
  return compose({
    vision,
    projector: config.projector,
    language: buildLanguage(config.text),
    prompt: honeybeePrompt,
    processor: exactProcessor({ size: vision.image_size.height, ...config.pictures }),
    ...(tokenizer && { tokenizer }),
  });
}

/** The folder's tokenizer, or the one that its config.json names: the released folders hold none. */
export async function honeybeeTokenizer(folder: string, config: HoneybeeConfig, options: LoadOptions): Promise<Tokenizer> {
  return loadTokenizer(await honeybeeTokenizerFolder(folder, config, options), { files: "sentencepiece" });
}

export async function honeybeeTokenizerFolder(folder: string, { tokenizer: id }: HoneybeeConfig, options: LoadOptions): Promise<string> {
  const isHere = (await readdir(folder)).some((name) => /^(tokenizer\.(json|model)|spiece\.model)$/.test(name));
  return isHere || id === null ? folder : folderOf(id, ofAnother(options), ["*.json", "*.model"]);
}

function bindHoneybee(modules: MultimodalModules, checkpoint: StateDict): void {
  checkKind(modules.multi_modal_projector, checkpoint);
  const { patches } = modules.vision_tower;
  bindWeights(modules, checkpoint, honeybeeKey, (path, source) => {
    const isTable = /^multi_modal_projector\.(v_)?pos_emb$/.test(path);
    return isTable && source.shape.length === 3 && source.shape[1] === patches + 1 ? withoutFirstRow(source) : source;
  });
}

/** The composition's spelling of a key. */
export function honeybeeKey(key: string): string {
  return key.replace(/^vision_model\./, "vision_tower.").replace(/^abstractor\./, "multi_modal_projector.");
}

/** A key that only projectors of one kind have. */
const kinds: readonly (readonly [kind: string, type: new (...args: never[]) => Projector, key: string])[] = [
  ["mlp", HoneybeeMlp, "net.0.weight"],
  ["resampler", Resampler, "query_tokens"],
  ["c-abs", CAbstractor, "readout.0.weight"],
  ["d-abs", DAbstractor, "reference_points"],
];

/** Another kind of projector than was built is one mistake, not a hundred missing and unexpected keys. */
function checkKind(projector: Projector, { source, tensors }: StateDict): void {
  const built = kinds.find(([, type]) => projector instanceof type);
  const held = kinds.find(([, , key]) => tensors.has(`abstractor.${key}`));
  if (!built || !held || built === held) return;
  const message = `is ${built[0]}, but the weights hold a ${held[0]} (abstractor.${held[2]}).`;
  throw new ConfigError(source, [{ field: "projector_type", message }]);
}

/** [1, N + 1, C] → [1, N, C]: the first row was for the class token, which the projector does not see. */
function withoutFirstRow(source: WeightSource): WeightSource {
  const { dtype, shape, location, fingerprint } = source;
  const [, rows = 0, width = 0] = shape;
  return {
    dtype,
    shape: [1, rows - 1, width],
    fingerprint: createHash("sha256").update(`${fingerprint}\0without its first row`).digest("hex"),
    ...(location && {
      location: {
        path: location.path,
        offset: location.offset + location.byteLength / rows,
        byteLength: location.byteLength - location.byteLength / rows,
      },
    }),
    async read() {
      const bytes = await source.read();
      return bytes.slice(bytes.byteLength / rows);
    },
  };
}
