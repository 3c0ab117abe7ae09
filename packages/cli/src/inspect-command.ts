import type { ModelDescription, PartDescription } from "@waggle/mllm";
import { Command } from "commander";
import { addModelFlags, type ModelFlags, modelId, modelOptions } from "./open-model.ts";
import { progressDisplay } from "./progress-bar.ts";
import { amount, bytes, table } from "./table.ts";

export function inspectCommand(): Command {
  return addModelFlags(new Command("inspect"))
    .description("what a model is and what it needs; reads headers only, never the weights")
    .argument("<model>", "folder, Hugging Face id, or `mini`")
    .option("--json", "print one JSON object")
    .action(async (name: string, { json, ...flags }: ModelFlags & { readonly json?: true }) => {
      const { inspect } = await import("@waggle/mllm");
      const { onProgress, stop } = progressDisplay();
      const description = await inspect(modelId(name), { onProgress, ...modelOptions(flags) }).finally(stop);
      process.stdout.write(json ? `${JSON.stringify(description)}\n` : report(description));
    });
}

function report({ folder, model_type, parts, parameters, tokensPerImage, maxPositions, memory }: ModelDescription): string {
  const facts = [
    ["model", `${model_type}, ${amount(parameters)} parameters`],
    ["folder", folder],
    ["tokens per image", tokensPerImage === null ? "takes text only" : String(tokensPerImage)],
    ["context", maxPositions === null ? "not bounded" : `${maxPositions} tokens`],
    ["memory", `${bytes(memory.weightBytes)} of weights (float32, mapped from disk)${converted(memory)}`],
    ["", `${bytes(memory.cacheBytesPerToken)} per token of context${atMost(memory)}`],
  ];
  return `${table(facts)}\n${table([["part", "parameters", "on disk", "types", "sizes"], ...parts.map(partRow)])}`;
}

function converted({ convertedBytes }: ModelDescription["memory"]): string {
  return convertedBytes === 0 ? "" : `, of which ${bytes(convertedBytes)} are converted into the cache once`;
}

function atMost({ cacheBytesAtMaxPositions }: ModelDescription["memory"]): string {
  return cacheBytesAtMaxPositions === null ? "" : `, ${bytes(cacheBytesAtMaxPositions)} when it is full`;
}

function partRow({ name, parameters, storedBytes, dtypes, sizes }: PartDescription): string[] {
  const disk = storedBytes === null ? "not here" : bytes(storedBytes);
  const listed = Object.entries(sizes).map(([field, size]) => `${field} ${size}`);
  return [name, amount(parameters), disk, dtypes.join(", "), listed.join(", ")];
}
