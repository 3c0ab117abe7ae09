/** Models without a checkpoint: fresh weights, each by its own initialiser, to be trained from nothing. */
import type { GenerationOptions } from "@waggle/generation";
import type { LanguageModel } from "@waggle/language";
import { ConfigError, type ConfigProblem, initialize } from "@waggle/nn";
import type { PromptTemplate, Tokenizer } from "@waggle/text";
import type { Composition } from "./compose.ts";
import { familyOf } from "./family.ts";
import { type Assembly, assemblyOf } from "./start.ts";

/**
 * A composition with fresh weights. There is no folder to take anything from: it must have been given a tokenizer, and an
 * image processor unless its prompt's family brings one.
 */
export function fresh(composition: Composition, { seed }: { readonly seed: number }): Assembly {
  const { tokenizer, placeholder, prompt, modules } = composition;
  const family = familyOf(prompt);
  const processor = composition.processor ?? family?.processor(modules.vision_tower.image_size);
  const tokenId = family?.tokenId ?? tokenizer?.tokenId(placeholder);
  const problems: ConfigProblem[] = [];
  if (!tokenizer) problems.push({ field: "tokenizer", message: "expected one: without a checkpoint there is no folder to take it from." });
  if (!processor) problems.push({ field: "processor", message: "expected one: without a checkpoint there is no folder to take it from." });
  if (tokenizer && tokenId === undefined)
    problems.push({ field: "placeholder", message: `the tokenizer has no token ${placeholder}; name the one that stands for a picture.` });
  if (!tokenizer || !processor || tokenId === undefined) throw new ConfigError("compose", problems);
  initialize(modules, { seed });
  return assemblyOf(composition, {
    tokenizer,
    processor,
    template: prompt,
    tokenId,
    dialect: family?.dialect(tokenizer),
    defaults: endOf(tokenizer),
    began: performance.now(),
  });
}

/** A language model alone with fresh weights. */
export function freshText(
  { language, tokenizer, prompt }: { readonly language: LanguageModel; readonly tokenizer: Tokenizer; readonly prompt?: PromptTemplate },
  { seed }: { readonly seed: number },
): Assembly {
  initialize(language, { seed });
  return {
    composition: null,
    language,
    sight: null,
    tokenizer,
    template: prompt ?? null,
    defaults: endOf(tokenizer),
    began: performance.now(),
  };
}

function endOf({ special }: Tokenizer): GenerationOptions {
  return special.eos === undefined ? {} : { eos_token_id: special.eos };
}
