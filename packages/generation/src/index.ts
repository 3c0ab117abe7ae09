export { type DecoderShape, Engine, type EngineOptions, type GenerationRequest } from "./engine.ts";
export { readGenerationConfig } from "./generation-config.ts";
export { ContextLengthError, GenerationError, OptionsError } from "./generation-error.ts";
export {
  type FinishReason,
  type GeneratedSequence,
  type GenerationResult,
  GenerationStream,
  type TokenEvent,
} from "./generation-stream.ts";
export type { CacheShape } from "./key-value-pool.ts";
export type { LogitsProcessor, PromptFacts } from "./logits/logits-processor.ts";
export { logitsProcessors } from "./logits/processors.ts";
export { type GenerationOptions, optionNames, type ResolvedOptions, resolveOptions } from "./options.ts";
export type { PromptSegment, VisualTokens } from "./prompt.ts";
export { RandomNumbers } from "./random.ts";
export { greedySampler, randomSampler, type Sampler } from "./sampler.ts";
export type { Semantics } from "./semantics.ts";
export { StopStrings } from "./stop-strings.ts";
export type { Detokenizer } from "./transcript.ts";
