import { GenerationError } from "./generation-error.ts";

/** A picture's place in a prompt: `rows` visual tokens from row `firstRow` of the engine's features. */
export interface VisualTokens {
  /** The id that stands for each of them among the prompt's ids: what penalties see, and what the tokenizer expanded. */
  readonly tokenId: number;
  readonly firstRow: number;
  readonly rows: number;
  /** Names the picture's content: two prompts share a cached prefix only where these agree. */
  readonly identity: string;
}

/** A prompt in order: runs of token ids, and pictures. */
export type PromptSegment = readonly number[] | VisualTokens;

/** A prompt position by position. */
export interface Prompt {
  /** Token ids, a picture's positions holding its `tokenId`. */
  readonly ids: readonly number[];
  /** Row of the features that stands here, −1 for a token. */
  readonly featureRows: readonly number[];
  /** What stands here, for comparing prefixes: the id, or picture and row. */
  readonly marks: readonly Mark[];
  /** Whose update the decoder takes, 0 for none. */
  readonly adapter: number;
}

export type Mark = number | string;

export function flattenPrompt(segments: readonly PromptSegment[], vocabulary: number, adapter = 0): Prompt {
  const ids: number[] = [];
  const featureRows: number[] = [];
  const marks: Mark[] = [];
  for (const segment of segments) {
    if (isTokens(segment)) {
      for (const id of segment) {
        if (!(Number.isSafeInteger(id) && id >= 0 && id < vocabulary)) throw notInVocabulary(id, ids.length, vocabulary);
        ids.push(id);
        featureRows.push(-1);
        marks.push(id);
      }
      continue;
    }
    for (let row = 0; row < segment.rows; row++) {
      ids.push(segment.tokenId);
      featureRows.push(segment.firstRow + row);
      marks.push(`${segment.identity}:${row}`);
    }
  }
  if (ids.length === 0)
    throw new GenerationError("prompt", "the prompt is empty: at least one token is needed to go on from (usually the BOS token)");
  // Keys and values of another adapter are others: prefixes differ from their first mark on.
  const own = adapter === 0 ? marks : marks.map((mark) => `adapter ${adapter}: ${mark}`);
  return { ids, featureRows, marks: own, adapter };
}

/** How many positions at the beginning agree. */
export function commonPrefix(a: readonly Mark[], b: readonly Mark[]): number {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length++;
  return length;
}

function isTokens(segment: PromptSegment): segment is readonly number[] {
  return Array.isArray(segment);
}

function notInVocabulary(id: number, position: number, vocabulary: number): GenerationError {
  const message = `prompt position ${position}: expected a token id from 0 to ${vocabulary - 1}, got ${id}. Tokenizer and model do not belong together.`;
  return new GenerationError("prompt", message);
}
