import type { ImageProcessor, Size } from "@waggle/image";
import type { StateDict } from "@waggle/nn";
import type { PromptTemplate, Tokenizer } from "@waggle/text";
import type { MultimodalModules } from "./compose.ts";
import type { Dialect } from "./dialect.ts";

/** A prompt template that knows the rest of its family: how prompts become ids, how pictures are prepared and weights are spelled. */
export interface FamilyPrompt extends PromptTemplate {
  /** What stands at a picture's positions among the ids. */
  readonly tokenId: number;
  dialect(tokenizer: Tokenizer): Dialect;
  /** Where the composition brings none. */
  processor(size: Size): ImageProcessor;
  /** Binds a published checkpoint. */
  bind(modules: MultimodalModules, checkpoint: StateDict): void;
}

export function familyOf(prompt: PromptTemplate): FamilyPrompt | null {
  return "dialect" in prompt ? (prompt as FamilyPrompt) : null;
}
