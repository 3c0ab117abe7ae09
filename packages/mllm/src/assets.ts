/** What stands beside the weights in a published folder. */
import { access } from "node:fs/promises";
import { join } from "node:path";
import { readJson } from "@waggle/checkpoint";
import { type GenerationOptions, OptionsError, readGenerationConfig, resolveOptions } from "@waggle/generation";
import { type ImageProcessor, imageProcessor } from "@waggle/image";
import { ConfigError } from "@waggle/nn";
import type { Tokenizer } from "@waggle/text";

/**
 * The options that a call has where it says nothing: generation_config.json, or what config.json held before there was
 * such a file. The end token is looked for in both, then in the tokenizer.
 */
export async function generationDefaults(folder: string, tokenizer: Tokenizer): Promise<GenerationOptions> {
  const file = join(folder, "generation_config.json");
  const config = await optionalObject(join(folder, "config.json"));
  const text = isObject(config?.text_config) ? config.text_config : undefined;
  const own = await optionalObject(file);
  const { options, problems } = readGenerationConfig(own ?? {});
  const eos_token_id = options.eos_token_id ?? config?.eos_token_id ?? text?.eos_token_id ?? tokenizer.special.eos;
  const all = { ...options, eos_token_id } as GenerationOptions;
  const wrong = [...problems, ...optionProblems(all)];
  if (wrong.length > 0)
    throw new ConfigError(
      file,
      wrong.map((message) => ({ field: "", message })),
    );
  return all;
}

function optionProblems(options: GenerationOptions): readonly string[] {
  try {
    resolveOptions(options);
    return [];
  } catch (error) {
    if (error instanceof OptionsError) return error.problems;
    throw error;
  }
}

/** preprocessor_config.json, or the part of processor_config.json where transformers 5 keeps it. */
export async function folderProcessor(folder: string): Promise<ImageProcessor> {
  const own = await optionalObject(join(folder, "preprocessor_config.json"));
  const nested = own ?? (await optionalObject(join(folder, "processor_config.json")))?.image_processor;
  if (nested !== undefined) return imageProcessor(nested);
  const message =
    "the folder has no preprocessor_config.json, so nobody knows how its pictures are prepared. Copy it from the model's repository.";
  throw new ConfigError(folder, [{ field: "", message }]);
}

/** The object in a JSON file; undefined where there is no such file. */
export async function optionalObject(file: string): Promise<Readonly<Record<string, unknown>> | undefined> {
  const exists = await access(file).then(
    () => true,
    () => false,
  );
  if (!exists) return undefined;
  const json = await readJson(file);
  if (isObject(json)) return json;
  throw new ConfigError(file, [{ field: "", message: `expected an object, got ${Array.isArray(json) ? "a list" : typeof json}.` }]);
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
