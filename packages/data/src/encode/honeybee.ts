/**
 * Honeybee's conversations as ids and labels: one line per turn, every piece tokenized alone, answers and their end are
 * targets. A picture that only stands before a caption has no conversation around it: all of the caption is a target.
 *
 * reference  kakaobrain/honeybee `LLaVAInstructDataset`, `VicunaInstructDataset`, `encode_prompt`
 */
import { countPlaceholders, honeybee, honeybeePromptIds, IMAGE_PLACEHOLDER, type Tokenizer } from "@waggle/text";
import { checkOptions, DataError, wholeFrom } from "../data-error.ts";
import { IMAGE, type Sample, type SampleEncoder, type Turn } from "../sample.ts";
import { expanded } from "./label-span.ts";

export interface HoneybeeEncoderOptions {
  readonly tokenizer: Tokenizer;
  /** Positions of a sample behind BOS, visual tokens included; what is longer is cut. Default 1023, as in the published finetuning. */
  readonly max_length?: number;
  /** false: of each sample the picture and the first answer only, as a caption; the published pretraining. Default true. */
  readonly as_instruct?: boolean;
}

const OPTIONS: readonly string[] = ["tokenizer", "max_length", "as_instruct"] satisfies (keyof HoneybeeEncoderOptions)[];

export function honeybeeEncoder(options: HoneybeeEncoderOptions): SampleEncoder {
  const { tokenizer, max_length: maxLength = 1023, as_instruct = true } = options;
  checkOptions("honeybeeEncoder", options, OPTIONS, [wholeFrom(1, "max_length", maxLength)]);
  return {
    encode(sample, pictureTokens) {
      const text = honeybeeText(sample, as_instruct);
      const shown = text.startsWith(NO_PROMPT) ? 1 : countPlaceholders(text);
      if (shown !== pictureTokens.length) expanded({ input_ids: Array.from({ length: shown }, () => IMAGE), labels: [] }, pictureTokens); // says what is wrong
      const { ids, labels } = honeybeePromptIds(tokenizer, text, {
        imageTokens: pictureTokens,
        imageTokenId: IMAGE,
        endOfText: true,
        maxLength,
      });
      return { input_ids: ids, labels };
    },
  };
}

const NO_PROMPT = "[NO_PROMPT]";
const SYSTEM = honeybee.render([{ role: "user", content: "" }], { addGenerationPrompt: false }).split("\n", 1)[0] ?? "";

/** The text that {@link honeybeePromptIds} takes. */
export function honeybeeText({ images, conversations }: Sample, asInstruct: boolean): string {
  const [question, answer] = conversations;
  const isCaption = images.length > 0 && conversations.length === 2 && question?.value.trim() === IMAGE_PLACEHOLDER;
  if (isCaption || !asInstruct) {
    if (images.length !== 1 || answer === undefined) {
      throw new DataError(
        "bad-sample",
        `a caption needs one picture and an answer, found ${images.length} pictures and ${conversations.length} turns.`,
      );
    }
    return `${NO_PROMPT} ${IMAGE_PLACEHOLDER} ${withoutPlaces(answer.value)}`;
  }
  const turns = images.length > 0 ? conversations : withoutPictures(conversations);
  return (
    SYSTEM + turns.map(({ from, value }) => `\n${from === "human" ? "Human" : "AI"}: ${from === "human" ? placed(value) : value}`).join("")
  );
}

/** A picture on a line of its own becomes a turn of its own. */
function placed(text: string): string {
  const pieces = text.split(/(<image>\n|\n<image>)/).filter((piece) => piece !== "");
  return pieces
    .map((piece, i) => {
      if (piece !== "<image>\n" && piece !== "\n<image>") return piece;
      return i === 0 ? "<image>\nHuman: " : "\nHuman: <image>";
    })
    .join("");
}

function withoutPlaces(text: string): string {
  return text.replaceAll("<image>\n", "").replaceAll("\n<image>", "").replaceAll(IMAGE_PLACEHOLDER, "image");
}

/** Of text alone: an `<image>` in it is no picture, and a first turn of the assistant's is left out. */
function withoutPictures(turns: readonly Turn[]): readonly Turn[] {
  const rest = turns[0]?.from === "gpt" ? turns.slice(1) : turns;
  return rest.map(({ from, value }) => ({ from, value: value.replaceAll(IMAGE_PLACEHOLDER, "image") }));
}
