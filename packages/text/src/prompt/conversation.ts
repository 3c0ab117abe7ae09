/**
 * Conversation templates in the form the LLaVA authors use: a system text, two roles, separators, and a style that says
 * how they join. `open` is how the assistant's turn begins when it is the model's to write.
 *
 *     colon    system sep  role ": " text sep…              open: role ":"
 *     bare     system sep  role text sep…                   open: role
 *     llama-2  [INST] <<SYS>>⏎system⏎<</SYS>>⏎⏎text [/INST] answer </s><s>[INST] …   open: nothing
 *     plain    text sep                                     one message only
 *
 * Separators alternate: one behind the user's texts, one behind the assistant's. A turn with no text has no separator.
 * reference  haotian-liu/LLaVA `conversation.py`
 */
import {
  IMAGE_PLACEHOLDER,
  type Message,
  type PromptTemplate,
  pictureCount,
  type RenderOptions,
  readMessages,
  readRenderOptions,
  type Turn,
  textOf,
} from "./messages.ts";
import { PromptError } from "./prompt-error.ts";

export interface Conversation {
  readonly style: "colon" | "bare" | "llama-2" | "plain";
  /** Used when the messages bring no system message. */
  readonly system: string;
  /** Before every system text. */
  readonly systemPrefix?: string;
  readonly user: string;
  readonly assistant: string;
  readonly separators: readonly [user: string, assistant: string];
  /** How pictures stand with the user's text: each `<image>⏎` before it, or in a turn of its own, answered by `Received.` */
  readonly pictures?: "line" | "tagged-turn";
  /** Turns that every conversation begins with. */
  readonly examples?: readonly string[];
  readonly stop: readonly string[];
}

export function conversationTemplate(conversation: Conversation): PromptTemplate {
  return {
    stop: conversation.stop,
    render(messages: readonly Message[], options: RenderOptions = {}): string {
      const { addGenerationPrompt } = readRenderOptions(options);
      const { system, turns } = readDialogue(readMessages(messages), { open: addGenerationPrompt });
      const texts = [...(conversation.examples ?? []), ...turns.flatMap((turn) => turnTexts(turn, conversation))];
      const systemText = (conversation.systemPrefix ?? "") + (system ?? conversation.system);
      return join(conversation, systemText, texts, addGenerationPrompt);
    },
  };
}

/** System text apart, then user and assistant in turn; `open` = the assistant is to speak next. */
export function readDialogue(all: readonly Turn[], { open }: { open: boolean }): { system: string | null; turns: readonly Turn[] } {
  const hasSystem = all[0]?.role === "system";
  const turns = hasSystem ? all.slice(1) : all;
  const offset = hasSystem ? 1 : 0;
  for (const [i, turn] of turns.entries()) {
    const expected = i % 2 === 0 ? "user" : "assistant";
    if (turn.role === expected) continue;
    const rule = turn.role === "system" ? "a system message can only come first" : "user and assistant take turns, the user begins";
    throw new PromptError("role_order", `message ${i + offset} is the ${turn.role}'s, expected the ${expected}'s: ${rule}.`, {
      index: i + offset,
    });
  }
  if (turns.length === 0) throw new PromptError("role_order", "there is no user message.");
  if (open && turns.length % 2 === 0) {
    const index = all.length - 1;
    const cure = "Add a user message, or pass addGenerationPrompt: false.";
    throw new PromptError("role_order", `message ${index}, the last, is the assistant's: there is nothing left to answer. ${cure}`, {
      index,
    });
  }
  refusePictures(all);
  return { system: hasSystem && all[0] !== undefined ? textOf(all[0]) : null, turns };
}

function refusePictures(turns: readonly Turn[]): void {
  for (const [index, turn] of turns.entries()) {
    if (turn.role !== "user" && pictureCount(turn) > 0) {
      throw new PromptError("messages", `message ${index}: only the user shows pictures, this is the ${turn.role}'s.`, { index });
    }
  }
}

/** A turn as it stands in the prompt; one with a tagged picture is three. */
function turnTexts(turn: Turn, { pictures = "line" }: Conversation): string[] {
  const count = pictureCount(turn);
  if (count === 0) return [textOf(turn)];
  const text = textOf(turn).replaceAll(IMAGE_PLACEHOLDER, "").trim(); // the parts say where pictures are
  if (pictures === "line") return [`${IMAGE_PLACEHOLDER}\n`.repeat(count) + text];
  return [`<Image>${IMAGE_PLACEHOLDER}</Image>`.repeat(count), "Received.", text];
}

function join(conversation: Conversation, system: string, texts: readonly string[], open: boolean): string {
  const { style, user, assistant, separators } = conversation;
  if (style === "llama-2") return joinLlama2(system, texts, separators);
  if (style === "plain") return joinPlain(texts, separators[0]);
  const colon = style === "colon" ? ":" : "";
  const parts = texts.map((text, i) => {
    const role = (i % 2 === 0 ? user : assistant) + colon;
    return text === "" ? role : `${role}${colon === "" ? "" : " "}${text}${separators[i % 2]}`;
  });
  return `${system}${separators[0]}${parts.join("")}${open ? assistant + colon : ""}`;
}

/** The tokenizer puts the first begin-of-text token, so the first separator goes. */
function joinLlama2(system: string, texts: readonly string[], [begin, end]: readonly [string, string]): string {
  const parts = texts.map((text, i) => {
    if (text === "") return "";
    if (i % 2 === 1) return ` ${text} ${end}`;
    const wrapped = i === 0 && system !== "" ? `<<SYS>>\n${system}\n<</SYS>>\n\n${text}` : text;
    return `${i === 0 ? "" : begin}[INST] ${wrapped} [/INST]`;
  });
  return parts.join("");
}

function joinPlain(texts: readonly string[], separator: string): string {
  if (texts.length > 1)
    throw new PromptError("role_order", `the plain template takes one user message (a caption follows it), got ${texts.length}.`);
  return (texts[0] ?? "") + separator;
}
