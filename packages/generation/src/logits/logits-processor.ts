/**
 * One rule of the chain that turns a model's logits into the scores that a token is chosen from. It changes `scores`
 * in place; −∞ means "removed". `ids` is what the rules may look at: the prompt's ids (where the prompt was given as
 * ids), then the generated ones.
 */
export interface LogitsProcessor {
  /** The class of transformers that does the same. */
  readonly name: string;
  process(scores: Float32Array, ids: readonly number[]): void;
}

/** What a rule needs to know about the call it serves. */
export interface PromptFacts {
  /** Length of the prompt's part of `ids`: 0 where the prompt was embeddings only. */
  readonly promptLength: number;
  /** Prompt and answer together may have this many tokens. */
  readonly maxLength: number;
}
