import type { Message, PromptTemplate } from "@waggle/text";

const [SYSTEM, USER, ASSISTANT] = ["\u0001", "\u0002", "\u0003"] as const;
const system: Message = { role: "system", content: SYSTEM };
const user: Message = { role: "user", content: USER };
const assistant: Message = { role: "assistant", content: ASSISTANT };

/**
 * The chat template, for other programs, of a template whose turns stand one behind the other, each between two texts;
 * found by letting it render marks. `picture` stands for a picture, in front of its message's text.
 */
export function jinjaTemplate({ render }: PromptTemplate, picture: string): string {
  const text = (messages: readonly Message[], addGenerationPrompt = false): string => render(messages, { addGenerationPrompt });
  const [one, two] = [text([user]), text([user, assistant])];
  const [opening = "", behindUser = ""] = one.split(USER);
  const [beforeAssistant = "", behindAssistant = ""] = two.slice(one.length).split(ASSISTANT);
  const [beforeUser = ""] = text([user, assistant, user]).slice(two.length).split(USER);
  const [beforeSystem = "", rest = ""] = text([system, user]).split(SYSTEM);
  const [behindSystem = ""] = rest.split(USER);
  const open = text([user], true).slice(one.length);
  const q = (value: string): string => JSON.stringify(value);
  return [
    "{%- macro words(content) %}",
    "{%- if content is string %}{{ content }}",
    "{%- else %}{% for part in content if part['type'] == 'text' %}{{ part['text'] }}{% endfor %}{% endif %}",
    "{%- endmacro %}",
    "{%- if messages[0]['role'] == 'system' %}",
    `{{- ${q(beforeSystem)} + words(messages[0]['content']) + ${q(behindSystem)} }}`,
    "{%- set turns = messages[1:] %}",
    "{%- else %}",
    `{{- ${q(opening)} }}`,
    "{%- set turns = messages %}",
    "{%- endif %}",
    "{%- for message in turns %}",
    "{%- set content = message['content'] %}",
    "{%- set said = words(content) %}",
    "{%- if message['role'] == 'user' %}",
    `{%- if not loop.first %}{{ ${q(beforeUser)} }}{% endif %}`,
    "{%- set pictures = [] if content is string else content | selectattr('type', 'equalto', 'image') | list %}",
    `{%- for part in pictures %}{{ ${q(picture)} }}{% endfor %}`,
    `{{- (said | trim if pictures else said) + ${q(behindUser)} }}`,
    "{%- else %}",
    `{{- ${q(beforeAssistant)} + said + ${q(behindAssistant)} }}`,
    "{%- endif %}",
    "{%- endfor %}",
    `{%- if add_generation_prompt %}{{ ${q(open)} }}{% endif %}`,
  ].join("\n");
}
