import { Command, Option } from "commander";
import { addModelFlags, type ModelFlags, modelId, modelOptions } from "./open-model.ts";
import { progressDisplay } from "./progress-bar.ts";

const dtypes = { f16: "float16", bf16: "bfloat16", f32: "float32" } as const;

interface Flags extends ModelFlags {
  readonly to: string;
  readonly dtype?: keyof typeof dtypes;
}

export function convertCommand(): Command {
  const command = new Command("convert")
    .description("write a model, whatever its layout, as one clean safetensors folder")
    .argument("<model>", "folder, Hugging Face id, or `mini`")
    .requiredOption("--to <dir>", "folder that is empty or does not exist; appears when it is complete")
    .addOption(new Option("--dtype <type>", "of all weights (default: as they are stored)").choices(Object.keys(dtypes)));
  return addModelFlags(command).action(async (name: string, flags: Flags) => {
    const { convert } = await import("@waggle/mllm");
    const { onProgress, stop } = progressDisplay();
    const controller = new AbortController();
    const interrupt = (): void => controller.abort();
    process.once("SIGINT", interrupt);
    const dtype = flags.dtype && { dtype: dtypes[flags.dtype] };
    const files = await convert(modelId(name), flags.to, {
      signal: controller.signal,
      onProgress,
      ...dtype,
      ...modelOptions(flags),
    }).finally(() => {
      process.off("SIGINT", interrupt);
      stop();
    });
    process.stdout.write(files.map((file) => `${file}\n`).join(""));
  });
}
