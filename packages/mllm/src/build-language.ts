import { type LanguageModel, llama, mistral, opt, qwen2 } from "@waggle/language";
import type { TextPart } from "./model-config.ts";

/** The language model that a config.json asks for, without weights. */
export function buildLanguage({ model_type, config }: TextPart): LanguageModel {
  switch (model_type) {
    case "llama":
      return llama(config);
    case "mistral":
      return mistral(config);
    case "opt":
      return opt(config);
    case "qwen2":
      return qwen2(config);
    default:
      return model_type satisfies never;
  }
}
