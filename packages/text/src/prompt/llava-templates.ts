/**
 * The conversation templates of LLaVA and of the language models under it, as their authors wrote them.
 * reference  haotian-liu/LLaVA `conv_templates` (names there in brackets); the texts are theirs
 */
import { conversationTemplate } from "./conversation.ts";
import type { PromptTemplate } from "./messages.ts";
import { VICUNA_V0_EXAMPLES } from "./vicuna-v0-examples.ts";

const END = "</s>";
const POLITE = "The assistant gives helpful, detailed, and polite answers to the";
const TO_USER = `A chat between a curious user and an artificial intelligence assistant. ${POLITE} user's questions.`;
const TO_HUMAN = `A chat between a curious human and an artificial intelligence assistant. ${POLITE} human's questions.`;
const TASKS =
  "to understand the visual content that the user provides, and assist the user with a variety of tasks using natural language.";
const TAGGED =
  `A chat between a curious user and an artificial intelligence assistant. The assistant is able ${TASKS}` +
  "The visual content will be provided with the following format: <Image>visual content</Image>.";

const roles = { user: "USER", assistant: "ASSISTANT", separators: [" ", END], stop: [END] } as const;
const hashes = { user: "Human", assistant: "Assistant", separators: ["###", "###"], stop: ["###"] } as const;

/** Vicuna v1 and v1.1, LLaVA-1.5 in training and evaluation [vicuna_v1, v1, library default]. */
export const vicunaV1: PromptTemplate = conversationTemplate({ style: "colon", system: TO_USER, ...roles });

/** LLaVA v1; what LLaVA's command line uses for 1.5 [llava_v1]. */
export const llavaV1: PromptTemplate = conversationTemplate({ style: "colon", system: TO_HUMAN, ...roles });

/** LLaVA v0 [llava_v0]. */
export const llavaV0: PromptTemplate = conversationTemplate({ style: "colon", system: TO_HUMAN, ...hashes });

/** Vicuna v0: begins with an example conversation [v0, vicuna_v0, default]. */
export const vicunaV0: PromptTemplate = conversationTemplate({ style: "colon", system: TO_HUMAN, ...hashes, examples: VICUNA_V0_EXAMPLES });

/** Pictures in tags and in a turn of their own [v0_mmtag]. */
export const llavaV0Tagged: PromptTemplate = conversationTemplate({ style: "colon", system: TAGGED, ...hashes, pictures: "tagged-turn" });

/** [v1_mmtag] */
export const llavaV1Tagged: PromptTemplate = conversationTemplate({ style: "colon", system: TAGGED, ...roles, pictures: "tagged-turn" });

const instructions = { style: "llama-2", user: "USER", assistant: "ASSISTANT", stop: [END] } as const;

/** LLaVA on Llama 2 [llava_llama_2]. */
export const llavaLlama2: PromptTemplate = conversationTemplate({
  ...instructions,
  system: `You are a helpful language and vision assistant. You are able ${TASKS}`,
  separators: ["<s>", END],
});

/** Llama 2 chat with Meta's default system text [llama_2]. */
export const llama2: PromptTemplate = conversationTemplate({
  ...instructions,
  system: [
    "You are a helpful, respectful and honest assistant. Always answer as helpfully as possible, while being safe. ",
    "Your answers should not include any harmful, unethical, racist, sexist, toxic, dangerous, or illegal content.",
    "Please ensure that your responses are socially unbiased and positive in nature.\n\nIf a question does not make any sense,",
    "or is not factually coherent, explain why instead of answering something not correct.",
    "If you don't know the answer to a question, please don't share false information.",
  ].join(" "),
  separators: ["<s>", END],
});

/** [mistral_instruct] */
export const mistralInstruct: PromptTemplate = conversationTemplate({ ...instructions, system: "", separators: ["", END] });

const turns = {
  style: "bare",
  systemPrefix: "<|im_start|>system\n",
  user: "<|im_start|>user\n",
  assistant: "<|im_start|>assistant\n",
  stop: ["<|im_end|>"],
} as const;

/** LLaVA on MPT [mpt]. */
export const llavaMpt: PromptTemplate = conversationTemplate({
  ...turns,
  system: "A conversation between a user and an LLM-based AI assistant. The assistant gives helpful and honest answers.",
  separators: ["<|im_end|>", "<|im_end|>"],
});

/** LLaVA-1.6 34B and Mistral [chatml_direct, mistral_direct]. */
export const chatmlDirect: PromptTemplate = conversationTemplate({
  ...turns,
  system: "Answer the questions.",
  separators: ["<|im_end|>", "<|im_end|>"],
});

/** ChatML with line breaks between turns, as Qwen writes it. */
export const chatml: PromptTemplate = conversationTemplate({
  ...turns,
  system: "You are a helpful assistant.",
  separators: ["<|im_end|>\n", "<|im_end|>\n"],
});

/** Stage 1 of LLaVA's training: picture, caption, nothing else [plain, v0_plain]. */
export const llavaPlain: PromptTemplate = conversationTemplate({
  style: "plain",
  system: "",
  user: "",
  assistant: "",
  separators: ["\n", "\n"],
  stop: ["\n"],
});
