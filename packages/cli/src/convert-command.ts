import { Command, Option } from "commander";
import { addModelFlags, type ModelFlags, modelId, modelOptions } from "./open-model.ts";
import { writeFiles } from "./write-files.ts";

const dtypes = { f16: "float16", bf16: "bfloat16", f32: "float32" } as const;

/** How a model's folder is written. */
interface FolderFlags {
  readonly to: string;
  readonly dtype?: keyof typeof dtypes;
}

export function convertCommand(): Command {
  const command = new Command("convert")
    .description("write a model, whatever its layout, as one clean safetensors folder")
    .argument("<model>", "folder, Hugging Face id, or `mini`");
  return addModelFlags(addFolderFlags(command)).action((name: string, flags: FolderFlags & ModelFlags) => writeFolder(name, flags));
}

/** The same for an adapter, its base named first. */
export function mergeCommand(): Command {
  const command = new Command("merge")
    .description("write an adapter multiplied into its base as one clean safetensors folder")
    .argument("<base>", "what the adapter was trained over: folder, Hugging Face id, or `mini`")
    .argument("<adapter>", "folder or Hugging Face id of a LoRA adapter (PEFT) or a projector (mm_projector.bin)");
  return addFolderFlags(command).action((base: string, name: string, flags: FolderFlags) => writeFolder(name, { ...flags, base }));
}

function addFolderFlags(command: Command): Command {
  return command
    .requiredOption("--to <dir>", "folder that is empty or does not exist; appears when it is complete")
    .addOption(new Option("--dtype <type>", "of all weights (default: as they are stored)").choices(Object.keys(dtypes)));
}

async function writeFolder(name: string, flags: FolderFlags & ModelFlags): Promise<void> {
  const { convert } = await import("@waggle/mllm");
  const dtype = flags.dtype && { dtype: dtypes[flags.dtype] };
  await writeFiles((options) => convert(modelId(name), flags.to, { ...options, ...dtype, ...modelOptions(flags) }));
}
