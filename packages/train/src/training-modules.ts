import type { Assembly } from "@waggle/mllm";
import { Module } from "@waggle/nn";

/** The modules of a model under the names by which training speaks of them: `language_model` for a language model alone, too. */
export function trainingModules({ composition, language }: Assembly): Module {
  return composition?.modules ?? new TextModules(language);
}

class TextModules extends Module {
  readonly language_model: Module;

  constructor(language: Module) {
    super();
    this.language_model = language;
  }
}
