/** The lab's base and its parts: `base-encoder.ts` and `base-language.ts` train one each, `base.ts` puts them together. */
import { fileURLToPath } from "node:url";
import { type Llama, llama } from "@waggle/language";
import { type Assembly, type Composition, compose, honeybeePrompt } from "@waggle/mllm";
import { type Module, normal } from "@waggle/nn";
import type { Projector, ProjectorFactory } from "@waggle/projectors";
import { loadTokenizer, type Tokenizer } from "@waggle/text";
import { type ClipVisionEncoder, clip } from "@waggle/vision";

/** Pictures of 96 pixels in patches of 8: N = 144, as many as the C-Abstractor of Honeybee makes tokens. */
const VISION = {
  ...{ hidden_size: 128, intermediate_size: 512, num_hidden_layers: 4, num_attention_heads: 4 },
  ...{ image_size: 96, patch_size: 8 },
} as const;
const LANGUAGE = {
  ...{ hidden_size: 128, intermediate_size: 352, num_hidden_layers: 4, num_attention_heads: 4 },
  // 1 / √D: from the usual 0.02, with embeddings as fast as the layers, no word is found in a telling within 6,000 steps
  ...{ max_position_embeddings: 512, tie_word_embeddings: true, initializer_range: 0.088 },
} as const;

const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

/** Where a recipe's run is kept; not in git. */
export const runs = (name: string): string => here(`runs/${name}`);
/** Where the base's weights are. */
export const BASE: string = here("base");

/** The tokenizer's folder; see tokenizer.ts. */
export const TOKENIZER: string = here("tokenizer");

export const tokenizer: Tokenizer = await loadTokenizer(TOKENIZER);

/** How much a target counts in an answer of so many: unweighted, captions and boxes would drown what has two, like "yes". */
export const weight = (length: number): number => (length > 8 ? 1 / Math.sqrt(length) : 1 / length);

/**
 * The features of the last layer but one are the lab's, as in Honeybee and LLaVA: the last layer is free to gather what the
 * caption is about, and the one before still says what is where.
 */
export function encoder(options: { readonly layer: -1 | -2; readonly classToken?: "keep" }): ClipVisionEncoder {
  return clip(VISION, options);
}

export function languageModel(): Llama {
  return llama({ ...LANGUAGE, vocab_size: tokenizer.size });
}

export function composed(projector: ProjectorFactory, words: Tokenizer = tokenizer): Composition {
  return compose({ vision: encoder({ layer: -2 }), projector, language: languageModel(), prompt: honeybeePrompt, tokenizer: words });
}

/** The base around a projector that is fresh from `seed`: a lab's `base`. */
export const base = (projector: ProjectorFactory, seed: number): Promise<Assembly> =>
  composed((C, D, grid) => widelyDrawn(projector(C, D, grid))).assemble(BASE, { initialize: ["projector"], seed });

/** 0.02, with which most weights of the published projectors begin at a width of 1024, at a width of 128: in proportion to 1 / √width. */
function widelyDrawn<P extends Projector & Module>(projector: P): P {
  const published = normal(0.02);
  for (const [, parameter] of projector.namedParameters())
    if (parameter.init.description === published.description) Object.assign(parameter, { init: normal(0.02 * Math.sqrt(1024 / 128)) });
  return projector;
}
