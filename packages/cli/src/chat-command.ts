import type { Message } from "@waggle/mllm";
import { Command } from "commander";
import {
  type AdapterFlags,
  addAdapterFlags,
  addModelFlags,
  addPromptFlags,
  type ModelFlags,
  type PromptFlags,
  withModel,
} from "./open-model.ts";
import { addSamplingFlags, collect, generationOptions, type SamplingFlags } from "./sampling-flags.ts";

interface Flags extends SamplingFlags, ModelFlags, PromptFlags, AdapterFlags {
  readonly image?: readonly string[];
}

export function chatCommand(): Command {
  const command = new Command("chat")
    .description("talk in the terminal; Ctrl-C stops the answer, at the prompt it leaves")
    .argument("<model>", "folder, Hugging Face id, or `mini`")
    .option("--image <file>", "a picture for the first message: file or http(s) URL; may be given several times", collect);
  return addSamplingFlags(addPromptFlags(addAdapterFlags(addModelFlags(command)))).action(async (name: string, flags: Flags) => {
    const options = generationOptions(flags, command);
    await withModel(name, flags, async (model) => {
      const [{ Conversation }, { image }] = await Promise.all([import("./conversation.ts"), import("@waggle/mllm")]);
      const answer = (messages: readonly Message[], adapter: string | null) => model.chat(messages, { ...options, adapter });
      await new Conversation({
        answer,
        input: process.stdin,
        output: process.stdout,
        images: (flags.image ?? []).map((source) => image(source)),
        adapters: model.adapters,
      }).run();
    });
  });
}
