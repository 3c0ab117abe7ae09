import { Command } from "commander";
import { modelId } from "./open-model.ts";
import { progressDisplay } from "./progress-bar.ts";

interface Flags {
  readonly to: string;
  readonly base?: string;
}

export function exportCommand(): Command {
  return new Command("export")
    .description("write a model as portable ONNX graphs: vision_encoder, embed_tokens, decoder_model_merged")
    .argument("<model>", "folder, Hugging Face id, or `mini`")
    .requiredOption("--to <dir>", "folder for the graphs and their weights; made if missing")
    .option("--base <model>", "what an adapter or a projector was trained over")
    .action(async (name: string, { to, base }: Flags) => {
      const { exportOnnx } = await import("@waggle/mllm");
      const { onProgress, stop } = progressDisplay();
      const files = await exportOnnx(modelId(name), to, { onProgress, ...(base !== undefined && { base }) }).finally(stop);
      process.stdout.write(files.map((file) => `${file}\n`).join(""));
    });
}
