/**
 * A model of parts that were composed by hand, as a folder for the composition's own `load`: all weights under the paths
 * of its modules, and tokenizer and settings where they came from a folder.
 */
import { join } from "node:path";
import { type NamedTensor, writeFolder, writeSafetensors } from "@waggle/checkpoint";
import { ConfigError } from "@waggle/nn";
import { copySettings } from "./convert.ts";
import type { Assembly } from "./start.ts";

/** Writes `folder`, which must be empty or not exist: all of it, or nothing. */
export async function saveModel(
  { composition, language, settings }: Assembly,
  folder: string,
  { signal }: { readonly signal?: AbortSignal } = {},
): Promise<void> {
  const tensors = Array.from((composition?.modules ?? language).namedParameters(), ([name, { source, shape }]): NamedTensor => {
    if (source === null) throw new ConfigError("saveModel", [{ field: name, message: "has no values. Load or initialise it first." }]);
    return { name, dtype: source.dtype, shape, read: () => source.read() };
  });
  await writeFolder(folder, async (temporary) => {
    await writeSafetensors(join(temporary, "model.safetensors"), tensors, { metadata: { format: "pt" }, ...(signal && { signal }) });
    if (settings !== undefined) await copySettings(settings, temporary);
  });
}
