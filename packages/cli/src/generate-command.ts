import type { GenerationOptions } from "@waggle/generation";
import type { ChatStream, MultimodalModel } from "@waggle/mllm";
import { Command } from "commander";
import { addModelFlags, addPromptFlags, type ModelFlags, type PromptFlags, withModel } from "./open-model.ts";
import { addSamplingFlags, collect, generationOptions, number, type SamplingFlags } from "./sampling-flags.ts";

interface Flags extends SamplingFlags, ModelFlags, PromptFlags {
  readonly image?: readonly string[];
  readonly prompt: string;
  readonly raw?: true;
  readonly json?: true;
}

export function generateCommand(): Command {
  const command = new Command("generate")
    .description("answer one prompt")
    .argument("<model>", "folder, Hugging Face id, or `mini`")
    .option("--image <file>", "a picture: file, http(s) URL, or - for stdin; may be given several times", collect)
    .requiredOption("--prompt <text>", "the user's message; with --raw the whole prompt text")
    .option("--raw", "do not put the prompt through the model's template; <image> stands for each picture");
  return addSamplingFlags(addPromptFlags(addModelFlags(command)))
    .option("--num-return-sequences <n>", "print the n best answers of the beams, each behind its score", number)
    .option("--json", "print one JSON object: text, tokenIds, finishReason, usage, timings, and with beams sequences")
    .action(async (name: string, flags: Flags) => {
      const options = generationOptions(flags, command);
      await withModel(name, flags, async (model) => {
        const answer = await start(model, flags, options);
        if (flags.json) {
          process.stdout.write(`${JSON.stringify(await answer.result)}\n`);
          return;
        }
        if ((flags.numReturnSequences ?? 1) > 1) {
          const { sequences = [] } = await answer.result;
          for (const { score, text } of sequences) process.stdout.write(`${score.toFixed(4)}\t${text}\n`);
          return;
        }
        for await (const piece of answer) process.stdout.write(piece);
        process.stdout.write("\n");
      });
    });
}

async function start(model: MultimodalModel, { image: sources = [], prompt, raw }: Flags, options: GenerationOptions): Promise<ChatStream> {
  const { image } = await import("@waggle/mllm");
  const images = sources.map((source) => image(source));
  if (raw) return model.stream(prompt, { ...options, images });
  return model.chat([{ role: "user", content: [...images, prompt] }], options);
}
