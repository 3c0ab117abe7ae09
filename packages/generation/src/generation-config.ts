import type { GenerationOptions } from "./options.ts";
import { optionNames } from "./options.ts";

/**
 * Options of transformers that change the tokens and that Waggle does not have, with the values at which they do
 * nothing. A file that sets one to anything else asks for tokens that we would not produce, so it is refused.
 */
const notSupported: Readonly<Record<string, readonly unknown[]>> = {
  guidance_scale: [null, 1],
  encoder_repetition_penalty: [null, 1],
  encoder_no_repeat_ngram_size: [null, 0],
  num_beam_groups: [null, 1],
  diversity_penalty: [null, 0],
  penalty_alpha: [null, 0],
  dola_layers: [null],
  constraints: [null],
  force_words_ids: [null],
  prompt_lookup_num_tokens: [null],
  watermarking_config: [null],
  max_time: [null],
};

/** The options that a generation_config.json sets, and what in it cannot be honoured. Keys that do not change tokens are passed over. */
export function readGenerationConfig(config: Readonly<Record<string, unknown>>): {
  readonly options: GenerationOptions;
  readonly problems: readonly string[];
} {
  const options = Object.fromEntries(Object.entries(config).filter(([name, value]) => optionNames.includes(name) && value !== null));
  const problems = Object.entries(config)
    .filter(([name, value]) => name in notSupported && !notSupported[name]?.includes(value))
    .map(([name, value]) => `${name}: ${JSON.stringify(value)} is not supported; remove it from the file`);
  return { options, problems };
}
