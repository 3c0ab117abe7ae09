/**
 * A composition of CLIP, C-Abstractor and Llama as a folder in the layout in which Honeybee was released (December 2023),
 * in float16; `load` takes it, and so does the original implementation.
 *
 *     vision_tower.*  →  vision_model.*     multi_modal_projector.*  →  abstractor.*     language_model.*
 */
import { copyFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { castTensor, type NamedTensor, writeFolder, writeSafetensors } from "@waggle/checkpoint";
import type { MultimodalModules } from "@waggle/mllm";
import { ConfigError } from "@waggle/nn";

/** Sizes, spelled as in config.json. */
export interface HoneybeeSizes {
  readonly vision: Readonly<Record<string, unknown>>;
  readonly text: Readonly<Record<string, unknown>>;
  /** With `num_queries` and `feature_layer_index`. */
  readonly projector: Readonly<Record<string, unknown>> & { readonly num_queries: number; readonly feature_layer_index: number };
}

/** Writes `folder`, which must be empty or not exist. `tokenizer` is the folder of tokenizer.json and tokenizer_config.json. */
export async function writeHoneybee(folder: string, modules: MultimodalModules, sizes: HoneybeeSizes, tokenizer: string): Promise<void> {
  const tensors = Array.from(modules.namedParameters(), ([path, { source, shape }]): NamedTensor => {
    if (source === null) throw new ConfigError("writeHoneybee", [{ field: path, message: "has no values. Load or train it first." }]);
    const name = path.replace(/^vision_tower\./, "vision_model.").replace(/^multi_modal_projector\./, "abstractor.");
    return { ...castTensor({ dtype: source.dtype, shape, read: () => source.read() }, "float16"), name };
  });
  await writeFolder(folder, async (temporary) => {
    await writeSafetensors(join(temporary, "model.safetensors"), tensors, { metadata: { format: "pt" } });
    await writeFile(join(temporary, "config.json"), `${JSON.stringify(configOf(sizes), null, 2)}\n`);
    for (const name of ["tokenizer.json", "tokenizer_config.json"]) await copyFile(join(tokenizer, name), join(temporary, name));
  });
}

function configOf({ vision, text, projector }: HoneybeeSizes): object {
  return {
    architectures: ["HoneybeeForConditionalGeneration"],
    model_type: "mllm",
    torch_dtype: "float16",
    num_query_tokens: projector.num_queries,
    vision_config: { model_type: "clip_vision_model", encoder_type: "openai.clip", ...vision },
    visual_projector_config: { model_type: "mllm_visual_projector", projector_type: "c-abs", ...projector },
    text_config: { model_type: "llama", architectures: ["LlamaForCausalLM"], ...text },
  };
}
