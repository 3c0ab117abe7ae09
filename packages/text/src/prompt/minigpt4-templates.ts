/**
 * MiniGPT-4's chat: a picture is a message of its own, `<Img><image></Img>`, and the text that follows one is joined to
 * it with a space. Several messages of the human's may follow each other.
 * reference  Vision-CAIR/MiniGPT-4 `conversation.py` (`Chat.upload_img`, `Chat.ask`); `<ImageHere>` there is `<image>` here
 */
import { IMAGE_PLACEHOLDER, type PromptTemplate, pictureCount, readMessages, readRenderOptions, type Turn, textOf } from "./messages.ts";
import { PromptError } from "./prompt-error.ts";

const SYSTEM =
  "Give the following image: <Img>ImageContent</Img>. You will be able to see the image once I provide it to you. Please answer my questions.";
const PICTURE = `<Img>${IMAGE_PLACEHOLDER}</Img>`;

function miniGpt4Template(human: string, assistant: string, separator: string, stop: string): PromptTemplate {
  return {
    stop: [stop],
    render(messages, options = {}) {
      const { addGenerationPrompt } = readRenderOptions(options);
      const all = readMessages(messages);
      const system = all[0]?.role === "system" ? textOf(all[0]) : null;
      const said: { readonly role: string; text: string }[] = [];
      for (const [index, turn] of all.entries()) {
        if (index > 0 || system === null) checkTurn(turn, index, all[index - 1]);
        if (turn.role === "assistant") said.push({ role: assistant, text: textOf(turn) });
        if (turn.role === "user") for (const text of humanTexts(turn)) ask(said, human, text);
      }
      if (said.length === 0) throw new PromptError("role_order", "there is no user message.");
      const turns = said.map(({ role, text }) => (text === "" ? role : role + text + separator));
      return (system ?? SYSTEM) + separator + turns.join("") + (addGenerationPrompt ? assistant : "");
    },
  };
}

function humanTexts(turn: Turn): string[] {
  return turn.parts.map((part) => (part.type === "image" ? PICTURE : part.text));
}

function ask(said: { readonly role: string; text: string }[], human: string, text: string): void {
  const last = said.at(-1);
  if (text !== PICTURE && last?.role === human && last.text.endsWith("</Img>")) last.text += ` ${text}`;
  else said.push({ role: human, text });
}

function checkTurn(turn: Turn, index: number, before: Turn | undefined): void {
  if (turn.role === "system") throw new PromptError("role_order", `message ${index}: a system message can only come first.`, { index });
  if (turn.role === "assistant" && before?.role !== "user") {
    throw new PromptError("role_order", `message ${index} is the assistant's, but the user has not spoken before it.`, { index });
  }
  if (turn.role === "assistant" && pictureCount(turn) > 0) {
    throw new PromptError("messages", `message ${index}: only the user shows pictures, this is the assistant's.`, { index });
  }
}

/** Over Vicuna v0 [CONV_VISION_Vicuna0]. */
export const miniGpt4: PromptTemplate = miniGpt4Template("Human: ", "Assistant: ", "###", "###");

/** Over Llama 2 [CONV_VISION_LLama2]. */
export const miniGpt4Llama2: PromptTemplate = miniGpt4Template("<s>[INST] ", " [/INST] ", "", "</s>");
