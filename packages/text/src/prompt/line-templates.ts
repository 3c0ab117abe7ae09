/**
 * Templates that are not of LLaVA's form: llava-hf, TinyLlama, Honeybee.
 */
import { readDialogue } from "./conversation.ts";
import { IMAGE_PLACEHOLDER, type PromptTemplate, pictureCount, readMessages, readRenderOptions, type Turn, textOf } from "./messages.ts";

function dialogueTemplate(
  stop: readonly string[],
  join: (system: string | null, turns: readonly Turn[], open: boolean) => string,
): PromptTemplate {
  return {
    stop,
    render(messages, options = {}) {
      const { addGenerationPrompt } = readRenderOptions(options);
      const { system, turns } = readDialogue(readMessages(messages), { open: addGenerationPrompt });
      return join(system, turns, addGenerationPrompt);
    },
  };
}

/** The chat template of the llava-hf checkpoints: no system text of its own, pictures first, a space behind every turn. */
export const llavaHf: PromptTemplate = dialogueTemplate(["</s>"], (system, turns, open) => {
  const texts = turns.map((turn) => {
    const texts = turn.parts.flatMap((part) => (part.type === "text" ? [`${part.text} `] : []));
    return `${turn.role.toUpperCase()}: ${`${IMAGE_PLACEHOLDER}\n`.repeat(pictureCount(turn))}${texts.join("")}`;
  });
  return `${system === null ? "" : `${system} `}${texts.join("")}${open ? "ASSISTANT:" : ""}`;
});

/** TinyLlama 1.1B Chat v1.0 (Zephyr's form). */
export const tinyLlama: PromptTemplate = dialogueTemplate(["</s>"], (system, turns, open) => {
  const texts = turns.map((turn) => `<|${turn.role}|>\n${pictureLines(turn)}${textOf(turn)}</s>\n`);
  return `${system === null ? "" : `<|system|>\n${system}</s>\n`}${texts.join("")}${open ? "<|assistant|>\n" : ""}`;
});

function pictureLines(turn: Turn): string {
  return `${IMAGE_PLACEHOLDER}\n`.repeat(pictureCount(turn));
}

/**
 * Honeybee: every picture is a line of the human's, before the text's line; an answer ends with the line.
 * reference  kakaobrain/honeybee `construct_input_prompt`
 */
function honeybeeTemplate(defaultSystem: string): PromptTemplate {
  return dialogueTemplate([], (system, turns, open) => {
    const lines = turns.flatMap((turn) => {
      if (turn.role === "assistant") return [`AI: ${textOf(turn)}`];
      const text = textOf(turn);
      const pictures = Array.from({ length: pictureCount(turn) }, () => `Human: ${IMAGE_PLACEHOLDER}`);
      return text === "" && pictures.length > 0 ? pictures : [...pictures, `Human: ${text}`];
    });
    return [system ?? defaultSystem, ...lines, ...(open ? ["AI: "] : [])].join("\n");
  });
}

/** As in training and evaluation. */
export const honeybee: PromptTemplate = honeybeeTemplate(
  "The following is a conversation between a curious human and AI assistant. " +
    "The assistant gives helpful, detailed, and polite answers to the user's questions.",
);

/** As the authors' web demo. */
export const honeybeeDemo: PromptTemplate = honeybeeTemplate(
  "The following is a conversation between a curious human and AI. " +
    "The AI gives helpful, detailed, and polite answers to the human's questions.",
);
