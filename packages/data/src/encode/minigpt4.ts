/**
 * MiniGPT-4's captions as ids and labels:
 *
 *     stage 1   BOS, the picture, caption and `⏎`
 *     stage 2   BOS, `###Human: <Img>`, the picture, `</Img> Describe this image in detail. ###Assistant: `, caption and `###`
 *
 * Pieces around the picture are tokenized one by one; caption and end sign are the targets, cut at `max_txt_len`.
 *
 * reference  Vision-CAIR/MiniGPT-4 `MiniGPTBase.forward`, `prompt_wrap`
 */
import { IMAGE_PLACEHOLDER, type Tokenizer } from "@waggle/text";
import { checkOptions, DataError, wholeFrom } from "../data-error.ts";
import { IGNORE, IMAGE, type Sample, type SampleEncoder } from "../sample.ts";
import { expanded } from "./label-span.ts";

export interface MiniGpt4EncoderOptions {
  readonly tokenizer: Tokenizer;
  /** `"###Human: {} ###Assistant: "` in stage 2; `{}` is the human's text. Default "": no text before the caption, as in stage 1. */
  readonly prompt_template?: string;
  /** Ends every caption: "\n" in stage 1 (default), "###" in stage 2. */
  readonly end_sym?: string;
  /** Tokens of caption and end sign: 32 in stage 1 (default), 160 in stage 2. */
  readonly max_txt_len?: number;
}

const OPTIONS: readonly string[] = ["tokenizer", "prompt_template", "end_sym", "max_txt_len"] satisfies (keyof MiniGpt4EncoderOptions)[];

export function miniGpt4Encoder(options: MiniGpt4EncoderOptions): SampleEncoder {
  const { tokenizer, prompt_template: template = "", end_sym = "\n", max_txt_len = 32 } = options;
  const holed = template === "" || template.includes("{}");
  checkOptions("miniGpt4Encoder", options, OPTIONS, [
    holed ? null : `prompt_template: expected "" or a text with {} in it, got ${JSON.stringify(template)}.`,
    wholeFrom(1, "max_txt_len", max_txt_len),
    tokenizer.special.bos === undefined ? "tokenizer: expected one with a bos token." : null,
  ]);
  const encode = (text: string): number[] => tokenizer.encode(text, { addSpecialTokens: false });
  // The original pads with `$$`, an ordinary piece, and masks it where a caption has it too.
  const padding = tokenizer.tokenId("$$") ?? tokenizer.special.pad;
  return {
    encode(sample, pictureTokens) {
      const { question, caption } = readCaption(sample);
      const prompt = template === "" ? IMAGE_PLACEHOLDER : miniGpt4Prompt(template, question);
      const pieces = prompt.split(IMAGE_PLACEHOLDER).map((piece) => (piece === "" ? [] : encode(piece)));
      const before = [tokenizer.special.bos ?? 0, ...pieces.flatMap((ids, i) => (i === 0 ? ids : [IMAGE, ...ids]))];
      const target = encode(caption + end_sym).slice(0, max_txt_len);
      const labels = [...before.map(() => IGNORE), ...target.map((id) => (id === padding ? IGNORE : id))];
      return expanded({ input_ids: [...before, ...target], labels }, pictureTokens);
    },
  };
}

function readCaption({ conversations }: Sample): { readonly question: string; readonly caption: string } {
  const [human, gpt] = conversations;
  if (conversations.length !== 2 || human?.from !== "human" || gpt?.from !== "gpt") {
    const found = conversations.map(({ from }) => from).join(", ");
    throw new DataError("bad-sample", `MiniGPT-4 trains on one human turn and its caption, found ${found === "" ? "no turns" : found}.`);
  }
  return { question: human.value, caption: gpt.value };
}

/** Around the human's text, in which the picture comes first: `###Human: <Img><image></Img> What is it? ###Assistant: `. */
export function miniGpt4Prompt(template: string, question: string): string {
  const count = question.split(IMAGE_PLACEHOLDER).length - 1;
  const text = question.replaceAll(IMAGE_PLACEHOLDER, "").trim();
  const shown = `<Img>${IMAGE_PLACEHOLDER}</Img>`.repeat(count);
  return template.replace("{}", () => [shown, text].filter((part) => part !== "").join(" "));
}

/** What stage 2 asks, drawn anew for every caption; for `openCaptions`. */
export const miniGpt4Instructions: readonly string[] = [
  "Describe this image in detail.",
  "Take a look at this image and describe what you notice.",
  "Please provide a detailed description of the picture.",
  "Could you describe the contents of this image for me?",
].map((line) => `${IMAGE_PLACEHOLDER} ${line}`);
