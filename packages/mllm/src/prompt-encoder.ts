import type { PromptSegment } from "@waggle/generation";
import { ConfigError } from "@waggle/nn";
import { expandedPromptIds, PromptError, type PromptTemplate, type Tokenizer } from "@waggle/text";
import type { Dialect } from "./dialect.ts";
import type { Message } from "./message.ts";
import type { PlacedPicture } from "./picture-features.ts";

/** How pictures stand in a prompt. */
export interface VisualPrompt {
  /** What stands for a picture in the prompt's text, `<image>`; a token of the vocabulary, unless there is a dialect. */
  readonly placeholder: string;
  readonly tokenId: number;
  /** How prompts become ids where transformers does it otherwise. */
  readonly dialect?: Dialect | undefined;
}

/** Prompt texts and conversations to what the engine takes. */
export class PromptEncoder {
  readonly #tokenizer: Tokenizer;
  readonly #template: PromptTemplate | null;
  readonly #visual: VisualPrompt | null;

  /** `visual` is null for a model that takes text only. */
  constructor(tokenizer: Tokenizer, template: PromptTemplate | null, visual: VisualPrompt | null) {
    if (visual && !visual.dialect) checkPlaceholder(tokenizer, visual);
    this.#tokenizer = tokenizer;
    this.#template = template;
    this.#visual = visual;
  }

  /** The text of a conversation, ready for the answer, and the strings that end one. */
  render(messages: readonly Message[]): { readonly text: string; readonly stop: readonly string[] } {
    if (!this.#template) {
      const cure = "Give a prompt text instead of messages (on the command line: --raw), or load the model with a `prompt` template.";
      throw new PromptError("template", `the model's folder has no chat template. ${cure}`);
    }
    return { text: this.#template.render(messages), stop: this.#template.stop };
  }

  /**
   * The ids of a prompt in which placeholder i has become `imageTokens[i]` tokens. A prompt text gets the tokenizer's
   * special tokens; a rendered one only if its template has not written them.
   */
  ids(text: string, imageTokens: readonly number[], isRendered: boolean): readonly number[] {
    const addSpecialTokens = !(isRendered && this.#beginsWithBos(text));
    if (this.#visual) {
      const { placeholder, dialect } = this.#visual;
      if (dialect) return dialect.promptIds(text, imageTokens, isRendered);
      return expandedPromptIds(this.#tokenizer, text, { imageTokens, placeholder, addSpecialTokens });
    }
    const pictures = imageTokens.length;
    if (pictures === 0) return this.#tokenizer.encode(text, { addSpecialTokens });
    throw new PromptError("images", `the model takes text only; pictures that came with the prompt: ${pictures}.`, {
      placeholders: 0,
      pictures,
    });
  }

  /** The same ids with each picture's positions pointing at its tokens. */
  segments(ids: readonly number[], pictures: readonly PlacedPicture[]): PromptSegment[] {
    const segments: PromptSegment[] = [];
    let at = 0;
    for (const { identity, firstRow, rows } of pictures) {
      const { tokenId = -1 } = this.#visual ?? {};
      const next = ids.indexOf(tokenId, at);
      segments.push(ids.slice(at, next), { tokenId, firstRow, rows, identity });
      at = next + rows;
    }
    return [...segments, ids.slice(at)];
  }

  #beginsWithBos(text: string): boolean {
    const { bos } = this.#tokenizer.special;
    const spelling = bos === undefined ? undefined : this.#tokenizer.token(bos);
    return spelling !== undefined && text.startsWith(spelling);
  }
}

function checkPlaceholder(tokenizer: Tokenizer, { placeholder, tokenId }: VisualPrompt): void {
  const [id, ...more] = tokenizer.encode(placeholder.repeat(2), { addSpecialTokens: false });
  if (id === tokenId && more.length === 1 && more[0] === tokenId) return;
  const message = `expected it to be one token with id ${tokenId} in any text, but the tokenizer makes ${[id, ...more].join(", ")} of two of them.`;
  throw new ConfigError("tokenizer", [{ field: placeholder, message }]);
}
