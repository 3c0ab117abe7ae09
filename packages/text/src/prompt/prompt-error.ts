/** What can be wrong between messages, template and pictures. */
export type PromptErrorCode =
  | "messages" // not a list of messages with known roles and contents
  | "role_order"
  | "images" // placeholders and pictures do not match
  | "template" // the Jinja template cannot be read, or raised an exception
  | "unknown_template" // no template of that name
  | "invalid_option"
  | "tokenizer"; // the tokenizer lacks a token that the prompt needs

export interface PromptErrorDetails {
  readonly placeholders?: number;
  readonly pictures?: number;
  readonly index?: number;
}

export class PromptError extends Error {
  override readonly name: string = "PromptError";
  readonly code: PromptErrorCode;
  /** Image placeholders in the text and pictures given, where those are the trouble. */
  readonly placeholders: number | null;
  readonly pictures: number | null;
  /** The message, from 0, where one is the trouble. */
  readonly index: number | null;

  constructor(code: PromptErrorCode, message: string, details: PromptErrorDetails = {}) {
    super(message);
    this.code = code;
    this.placeholders = details.placeholders ?? null;
    this.pictures = details.pictures ?? null;
    this.index = details.index ?? null;
  }
}
