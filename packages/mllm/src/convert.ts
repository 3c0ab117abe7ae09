/**
 * A model in one clean folder: safetensors, config.json, tokenizer and settings, whatever its parts were before.
 *
 *     LLaVA, any layout     Hugging Face's (`LlavaForConditionalGeneration`, `LlavaNextForConditionalGeneration`), which
 *                           transformers opens; its authors' where that layout cannot say it: another projector than two
 *                           linear maps, or tiles in the authors' way
 *     language models, BLIP-2, Honeybee     their own
 *     MiniGPT-4             config.json with `model_type: "minigpt4"`, keys of the composition
 *
 * Adapters are merged. What is written is opened, headers only, before it gets its name.
 */
import { copyFile, readdir, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { castTensor, type FloatType, makeFolder, type NamedTensor, writeCheckpoint, writeFolder } from "@waggle/checkpoint";
import { checkOptions } from "@waggle/nn";
import { assemble } from "./load.ts";
import type { LoadOptions } from "./load-options.ts";
import { openModelFolder } from "./model-folder.ts";
import { type PublishedModel, publishedModel } from "./published-model.ts";

export interface ConvertOptions extends Pick<LoadOptions, "signal" | "onProgress" | "revision" | "base" | "cacheDir" | "offline"> {
  /** Of all floating-point weights. Default: as they are stored; what an adapter changed is float32. */
  readonly dtype?: FloatType;
}

const optionNames: readonly (keyof ConvertOptions)[] = ["signal", "onProgress", "revision", "base", "cacheDir", "offline", "dtype"];

/** Writes the model into `folder`, which must be empty or not exist, and returns the files. All of it is written, or nothing. */
export async function convert(id: string, folder: string, options: ConvertOptions = {}): Promise<readonly string[]> {
  checkOptions("convert", options, optionNames);
  const { dtype, ...loading } = options;
  const target = resolve(folder);
  await writeFolder(target, async (temporary) => {
    await assemble(id, loading); // what is wrong with it is said under the names of its own files, and before gigabytes are written
    const model = await publishedModel(await openModelFolder(id, loading), loading);
    options.signal?.throwIfAborted();
    await writeModel(model, temporary, options);
    await assemble(temporary, { offline: true, ...(options.signal && { signal: options.signal }) });
    options.signal?.throwIfAborted();
  });
  return (await readdir(target, { recursive: true, withFileTypes: true }))
    .flatMap((entry) => (entry.isFile() ? [join(entry.parentPath, entry.name)] : []))
    .sort();
}

async function writeModel(
  { config, tensors, tokenizer, settings, files }: PublishedModel,
  folder: string,
  { dtype, signal, onProgress }: ConvertOptions,
): Promise<void> {
  const all = Array.from(tensors, ([name, tensor]): NamedTensor => ({ ...(dtype ? castTensor(tensor, dtype) : tensor), name }));
  const written = new Map(files).set("config.json", withType(config, typeOf(all)));
  await copyFiles(settings, folder, settingsFiles, written);
  await copyFiles(tokenizer, folder, tokenizerFiles, written);
  for (const [name, content] of written) {
    await makeFolder(dirname(join(folder, name)));
    await writeFile(join(folder, name), typeof content === "string" ? content : `${JSON.stringify(content, null, 2)}\n`);
  }
  await writeCheckpoint(folder, all, { ...(signal && { signal }), ...(onProgress && { onProgress }) });
}

const tokenizerFiles =
  /^(tokenizer(_config)?\.json|(tokenizer|spiece)\.model|special_tokens_map\.json|added_tokens\.json|vocab\.(json|txt)|merges\.txt)$/;
const settingsFiles = /^((generation|preprocessor|processor)_config\.json|chat_template\.(json|jinja)|LICENSE.*|NOTICE.*)$/;

/** Tokenizer, image processor, chat template and generation settings of a folder. */
export async function copySettings(from: string, to: string): Promise<void> {
  await copyFiles(from, to, tokenizerFiles, new Map());
  await copyFiles(from, to, settingsFiles, new Map());
}

async function copyFiles(from: string, to: string, which: RegExp, except: ReadonlyMap<string, unknown>): Promise<void> {
  for (const name of await readdir(from)) if (which.test(name) && !except.has(name)) await copyFile(join(from, name), join(to, name));
}

/** The type that holds all of the weights without loss. */
function typeOf(tensors: readonly NamedTensor[]): FloatType {
  const found = new Set(tensors.map(({ dtype }) => dtype));
  const halves = (["float16", "bfloat16"] as const).filter((dtype) => found.has(dtype));
  const [only] = halves;
  return only !== undefined && halves.length === 1 && !found.has("float32") && !found.has("float64") ? only : "float32";
}

/** The text of config.json with `torch_dtype`, or the newer `dtype`, here and in the parts; every release of transformers reads the first. */
function withType(config: PublishedModel["config"], type: FloatType): string {
  const text = typeof config === "string" ? config : `${JSON.stringify(config, null, 2)}\n`;
  const typed = text.replace(/"(torch_dtype|dtype)"(\s*):(\s*)("\w+"|null)/g, `"$1"$2:$3"${type}"`);
  const fields = JSON.parse(typed);
  return "torch_dtype" in fields || "dtype" in fields ? typed : typed.replace("{", `{\n  "torch_dtype": "${type}",`);
}
