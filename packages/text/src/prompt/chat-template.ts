/**
 * Jinja chat templates, as the Hugging Face hub carries them, with transformers' surroundings: `messages`,
 * `add_generation_prompt`, the special tokens by role, `tools` and `documents` (none), raise_exception, strftime_now,
 * `{% generation %}`, trim_blocks and lstrip_blocks.
 *
 * Templates disagree on what a content is. Templates of language models print `message['content']`; those of multimodal
 * models walk over its parts. Which of the two a template does is found by rendering one probe of each form:
 *
 *     takes strings only   parts are joined into one text: `<image>⏎` for every picture, then the texts
 *     takes lists only     a string becomes one text part
 *     takes both           contents go in as they were given
 */
import { Template } from "@huggingface/jinja";
import {
  IMAGE_PLACEHOLDER,
  type ImagePart,
  type Message,
  type PromptTemplate,
  pictureCount,
  type RenderOptions,
  readMessages,
  readRenderOptions,
  type TextPart,
  type Turn,
  textOf,
} from "./messages.ts";
import { PromptError } from "./prompt-error.ts";

export interface ChatTemplateOptions {
  /** Special tokens and whatever else the template asks for: `{ bos_token: "<s>", eos_token: "</s>", add_vision_id: true }`. */
  readonly variables?: Readonly<Record<string, unknown>>;
  /** Texts that end an answer; default: the eos_token, if there is one. */
  readonly stop?: readonly string[];
  /** What errors call the template. Default "chat template". */
  readonly name?: string;
}

const OPTIONS: readonly string[] = ["variables", "stop", "name"] satisfies (keyof ChatTemplateOptions)[];
const PROBE = "waggleprobe";

export function chatTemplate(source: string, options: ChatTemplateOptions = {}): PromptTemplate {
  const unknown = Object.keys(options).filter((key) => !OPTIONS.includes(key));
  if (unknown.length > 0) {
    throw new PromptError("invalid_option", `chatTemplate: unknown option ${unknown.join(", ")}; known: ${OPTIONS.join(", ")}.`);
  }
  const { variables = {}, name = "chat template" } = options;
  const render = compile(source, name, variables);
  const eos = variables.eos_token;
  let form: ContentForm | null = null;
  return {
    stop: options.stop ?? (typeof eos === "string" ? [eos] : []),
    render(messages: readonly Message[], renderOptions: RenderOptions = {}): string {
      const { addGenerationPrompt } = readRenderOptions(renderOptions);
      const turns = readMessages(messages);
      form ??= contentForm(render);
      return render(
        turns.map((turn) => ({ role: turn.role, content: contentFor(turn, form as ContentForm) })),
        addGenerationPrompt,
      );
    },
  };
}

type Render = (messages: readonly unknown[], addGenerationPrompt: boolean) => string;
type ContentForm = "string" | "list" | "both";

function compile(source: string, name: string, variables: Readonly<Record<string, unknown>>): Render {
  const failed = (error: unknown): PromptError =>
    new PromptError("template", `${name}: ${error instanceof Error ? error.message : String(error)}`);
  let template: Template;
  try {
    template = new Template(source.replace(/\r\n?/g, "\n")); // Jinja reads every line break as one
  } catch (error) {
    throw failed(error);
  }
  return (messages, addGenerationPrompt) => {
    try {
      return template.render({ tools: null, documents: null, ...variables, messages, add_generation_prompt: addGenerationPrompt });
    } catch (error) {
      throw failed(error);
    }
  };
}

function contentForm(render: Render): ContentForm {
  const prints = (content: unknown): boolean => {
    try {
      const text = render([{ role: "user", content }], false);
      return text.includes(PROBE) && !/["']type["']/.test(text); // a list that is printed as it is shows its keys
    } catch {
      return false;
    }
  };
  const [asString, asList] = [prints(PROBE), prints([{ type: "text", text: PROBE }])];
  return asString === asList ? "both" : asString ? "string" : "list";
}

function contentFor(turn: Turn, form: ContentForm): unknown {
  if (form === "list" || (form === "both" && !turn.plain)) return turn.parts.map(plainPart);
  return `${IMAGE_PLACEHOLDER}\n`.repeat(pictureCount(turn)) + textOf(turn);
}

/** Of a picture part only what a template can print: pixels would be copied into the template's world value by value. */
function plainPart(part: TextPart | ImagePart): object {
  const scalars = ["string", "number", "boolean"];
  return Object.fromEntries(Object.entries(part).filter(([, value]) => scalars.includes(typeof value)));
}
