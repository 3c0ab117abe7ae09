import type { ImageInput } from "@waggle/image";
import { PromptError } from "@waggle/text";

/** A text may stand for `{ type: "text", text }`; pictures come from `image()`. */
export type MessagePart = string | { readonly type: "text"; readonly text: string } | ImageInput;

export interface Message {
  readonly role: "system" | "user" | "assistant";
  readonly content: string | readonly MessagePart[];
}

/** The pictures of a conversation in the order of its placeholders. That the rest is well-formed, the template checks. */
export function imagesOf(messages: readonly Message[]): readonly ImageInput[] {
  const parts = messages.flatMap(({ content }, message) => (typeof content === "string" ? [] : content.map((part) => ({ part, message }))));
  return parts.flatMap(({ part, message }) => {
    if (typeof part === "string" || part.type !== "image") return [];
    if ("source" in part) return [part];
    throw new PromptError("messages", `message ${message}: a picture part has no source; make it with image(…).`, { index: message });
  });
}
