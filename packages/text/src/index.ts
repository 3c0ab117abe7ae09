export { type LoadTokenizerOptions, loadTokenizer } from "./load-tokenizer.ts";
export { blip2 } from "./prompt/blip2-template.ts";
export { type ChatTemplateOptions, chatTemplate } from "./prompt/chat-template.ts";
export { type Conversation, conversationTemplate } from "./prompt/conversation.ts";
export {
  type ExpandedPromptOptions,
  expandedPromptIds,
  expandPlaceholders,
  type HoneybeePromptOptions,
  honeybeePromptIds,
  type ImageIdsOptions,
  type LabelledIds,
  type SplitPromptOptions,
  splitPromptIds,
} from "./prompt/image-ids.ts";
export { honeybee, honeybeeDemo, llavaHf, tinyLlama } from "./prompt/line-templates.ts";
export {
  chatml,
  chatmlDirect,
  llama2,
  llavaLlama2,
  llavaMpt,
  llavaPlain,
  llavaV0,
  llavaV0Tagged,
  llavaV1,
  llavaV1Tagged,
  mistralInstruct,
  vicunaV0,
  vicunaV1,
} from "./prompt/llava-templates.ts";
export { type LoadPromptTemplateOptions, loadPromptTemplate } from "./prompt/load-prompt-template.ts";
export {
  type ContentPart,
  countPlaceholders,
  IMAGE_PLACEHOLDER,
  type ImagePart,
  type Message,
  type PromptTemplate,
  type RenderOptions,
  type Role,
  type TextPart,
} from "./prompt/messages.ts";
export { miniGpt4, miniGpt4Llama2 } from "./prompt/minigpt4-templates.ts";
export { PromptError, type PromptErrorCode } from "./prompt/prompt-error.ts";
export { llamaTokenizerJson } from "./sentencepiece/tokenizer-json.ts";
export type { DecodeOptions, EncodeOptions, SpecialIds, StreamOptions, Tokenizer, TokenStream } from "./tokenizer.ts";
export { TokenizerError, type TokenizerErrorCode } from "./tokenizer-error.ts";
