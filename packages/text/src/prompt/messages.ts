/** Conversations: what is said by whom, with pictures in place. */
import { PromptError } from "./prompt-error.ts";

export const IMAGE_PLACEHOLDER = "<image>";

export type Role = "system" | "user" | "assistant";

export interface Message {
  readonly role: Role;
  readonly content: string | readonly ContentPart[];
}

/** A picture part may carry more than its type: `image()` of @waggle/image fits. */
export type ContentPart = string | TextPart | ImagePart;

export interface TextPart {
  readonly type: "text";
  readonly text: string;
}

export interface ImagePart {
  readonly type: "image";
}

export interface RenderOptions {
  /** End with the opening of the assistant's turn. Default true. */
  readonly addGenerationPrompt?: boolean;
}

/** Turns messages into the text that a model was trained on. A picture is `<image>` in that text. */
export interface PromptTemplate {
  render(messages: readonly Message[], options?: RenderOptions): string;
  /** Texts that end the assistant's turn, beside the end-of-text token. */
  readonly stop: readonly string[];
}

/** A message with its parts told apart. */
export interface Turn {
  readonly role: Role;
  readonly parts: readonly (TextPart | ImagePart)[];
  /** The content was one string, in which the user may have placed `<image>` themselves. */
  readonly plain: boolean;
}

const ROLES: readonly string[] = ["system", "user", "assistant"] satisfies Role[];

/** Checks messages as they come from outside, and says of every wrong one what is wrong. */
export function readMessages(messages: readonly Message[]): Turn[] {
  if (!Array.isArray(messages) || messages.length === 0) throw new PromptError("messages", "expected a list of at least one message.");
  return messages.map((message: Message, index) => {
    if (!ROLES.includes(message?.role)) {
      throw new PromptError("messages", `message ${index}: unknown role ${JSON.stringify(message?.role)}; known: ${ROLES.join(", ")}.`, {
        index,
      });
    }
    const { role, content } = message;
    if (typeof content === "string") return { role, parts: [{ type: "text", text: content }], plain: true };
    if (!Array.isArray(content)) {
      throw new PromptError("messages", `message ${index}: expected content to be a string or a list of parts.`, { index });
    }
    return { role, parts: content.map((part: ContentPart) => readPart(part, index)), plain: false };
  });
}

function readPart(part: ContentPart, index: number): TextPart | ImagePart {
  if (typeof part === "string") return { type: "text", text: part };
  if (part?.type === "text" && typeof part.text === "string") return { type: "text", text: part.text };
  if (part?.type === "image") return part;
  const type = JSON.stringify((part as { readonly type?: unknown } | null)?.type);
  throw new PromptError(
    "messages",
    `message ${index}: a part is a string, { type: "text", text } or { type: "image" }; got type ${type}.`,
    { index },
  );
}

export function readRenderOptions(options: RenderOptions): { readonly addGenerationPrompt: boolean } {
  const unknown = Object.keys(options).filter((key) => key !== "addGenerationPrompt");
  if (unknown.length > 0) {
    throw new PromptError("invalid_option", `render: unknown option ${unknown.join(", ")}; known: addGenerationPrompt.`);
  }
  return { addGenerationPrompt: options.addGenerationPrompt ?? true };
}

export function textOf(turn: Turn): string {
  return turn.parts.map((part) => (part.type === "text" ? part.text : "")).join("");
}

export function pictureCount(turn: Turn): number {
  return turn.parts.filter((part) => part.type === "image").length;
}

export function countPlaceholders(text: string, placeholder: string = IMAGE_PLACEHOLDER): number {
  return text.split(placeholder).length - 1;
}
