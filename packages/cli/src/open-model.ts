import { mini } from "@waggle/mini";
import type { MultimodalModel } from "@waggle/mllm";
import { type Command, InvalidArgumentError } from "commander";
import { progressDisplay } from "./progress-bar.ts";

/** `mini` is the embedded model; everything else is a folder or a hub id. */
export function modelId(name: string): string {
  return name === "mini" ? mini : name;
}

/** How a model is opened. */
export interface ModelFlags {
  readonly base?: string;
}

export function addModelFlags(command: Command): Command {
  return command.option("--base <model>", "what an adapter (PEFT) or mm_projector.bin was trained over: folder or Hugging Face id");
}

/** Which of a family's prompts a model is asked in. */
export interface PromptFlags {
  readonly honeybee2023?: true;
}

export function addPromptFlags(command: Command): Command {
  return command.option("--honeybee-2023", "Honeybee only: ids of prompts as its code of December 2023 made them");
}

/** The flags as options of load() and inspect(). */
export function modelOptions({ base }: ModelFlags): { base?: string } {
  return base === undefined ? {} : { base: modelId(base) };
}

/** Adapters over one base, their folders by name. */
export interface AdapterFlags {
  readonly adapter?: Readonly<Record<string, string>>;
}

export function addAdapterFlags(command: Command): Command {
  return command.option("--adapter <name=folder>", "a LoRA adapter (PEFT) over the model, by a name; may be given several times", named);
}

function named(text: string, earlier: AdapterFlags["adapter"] = {}): AdapterFlags["adapter"] {
  const [, name, folder] = /^([^=]+)=(.+)$/s.exec(text) ?? [];
  if (name === undefined || folder === undefined) throw new InvalidArgumentError("Expected NAME=FOLDER.");
  return { ...earlier, [name]: folder };
}

/** Loads a model with a progress bar, hands it to `use`, and disposes of it whatever happens. */
export async function withModel<T>(
  name: string,
  flags: ModelFlags & PromptFlags & AdapterFlags,
  use: (model: MultimodalModel) => Promise<T>,
): Promise<T> {
  // Only now: what runs models takes a second to load, which `waggle --help` and a misspelt flag need not wait for.
  const { honeybeePrompt2023, load } = await import("@waggle/mllm");
  const { onProgress, stop } = progressDisplay();
  const prompt = flags.honeybee2023 && { prompt: honeybeePrompt2023 };
  const model = await load(modelId(name), {
    onProgress,
    ...modelOptions(flags),
    ...(flags.adapter && { adapters: flags.adapter }),
    ...prompt,
  }).finally(stop);
  try {
    return await use(model);
  } finally {
    model.dispose();
  }
}
