/** Which conversation template a LLaVA takes, under the names of the authors' `--conv-mode`. */
import { basename, dirname, resolve } from "node:path";
import { chatmlDirect, llavaLlama2, llavaMpt, llavaV0, llavaV1, mistralInstruct, type PromptTemplate, vicunaV1 } from "@waggle/text";

export type ConversationMode = "llava_llama_2" | "mistral_instruct" | "chatml_direct" | "llava_v1" | "mpt" | "llava_v0" | "vicuna_v1";

export const conversations: { readonly [Mode in ConversationMode]: PromptTemplate } = {
  llava_llama_2: llavaLlama2,
  mistral_instruct: mistralInstruct,
  chatml_direct: chatmlDirect,
  llava_v1: llavaV1,
  mpt: llavaMpt,
  llava_v0: llavaV0,
  vicuna_v1: vicunaV1,
};

export const conversationModes: readonly ConversationMode[] = Object.keys(conversations) as ConversationMode[];

/** What the authors' command line takes for a model of this name. */
export function conversationModeFor(id: string): ConversationMode {
  const path = resolve(id);
  const own = basename(path);
  const name = (own.startsWith("checkpoint-") ? `${basename(dirname(path))}_${own}` : own).toLowerCase();
  if (name.includes("llama-2")) return "llava_llama_2";
  if (name.includes("mistral")) return "mistral_instruct";
  if (name.includes("v1.6-34b")) return "chatml_direct";
  if (name.includes("v1")) return "llava_v1";
  return name.includes("mpt") ? "mpt" : "llava_v0";
}
