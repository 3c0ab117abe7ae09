import { Command } from "commander";
import { addModelFlags, type ModelFlags, modelId, modelOptions } from "./open-model.ts";
import { writeFiles } from "./write-files.ts";

export function exportCommand(): Command {
  return addModelFlags(new Command("export"))
    .description("write a model as portable ONNX graphs: vision_encoder, embed_tokens, decoder_model_merged")
    .argument("<model>", "folder, Hugging Face id, or `mini`")
    .requiredOption("--to <dir>", "folder that is empty or does not exist; appears when it is complete")
    .action(async (name: string, { to, ...flags }: ModelFlags & { readonly to: string }) => {
      const { exportOnnx } = await import("@waggle/mllm");
      await writeFiles((options) => exportOnnx(modelId(name), to, { ...options, ...modelOptions(flags) }));
    });
}
