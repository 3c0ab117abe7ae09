/**
 * BLIP-2 over OPT: a picture in front, then text that the model continues. It was not trained to chat; a question has the
 * form `Question: … Answer:`, and what was said before stands in front of it.
 *
 *     a question (its last character is `?`)    Question: what is it? Answer:
 *     any other text                            as it is: `a photo of`, a whole prompt, or nothing for a caption
 *     earlier turns                             Question: what is it? Answer: a cat. Question: …
 *
 * reference  salesforce/LAVIS `projects/blip2`, transformers `Blip2Processor`
 */
import { readDialogue } from "./conversation.ts";
import { IMAGE_PLACEHOLDER, type PromptTemplate, pictureCount, readMessages, readRenderOptions, textOf } from "./messages.ts";
import { PromptError } from "./prompt-error.ts";

export const blip2: PromptTemplate = {
  stop: [],
  render(messages, options = {}) {
    const { addGenerationPrompt } = readRenderOptions(options);
    const { system, turns } = readDialogue(readMessages(messages), { open: addGenerationPrompt });
    if (system !== null)
      throw new PromptError("role_order", "message 0: BLIP-2 knows no system messages; say it in the user's text.", { index: 0 });
    const pictures = turns.reduce((sum, turn) => sum + pictureCount(turn), 0);
    const texts = turns.map((turn) => (turn.role === "user" ? asked(textOf(turn)) : `${textOf(turn)}.`));
    return IMAGE_PLACEHOLDER.repeat(pictures) + texts.filter((text) => text !== "").join(" ");
  },
};

function asked(text: string): string {
  const question = text.trim();
  return question.endsWith("?") && !question.startsWith("Question:") ? `Question: ${question} Answer:` : text;
}
