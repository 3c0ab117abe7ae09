import { mini } from "@waggle/mini";
import type { MultimodalModel } from "@waggle/mllm";
import { progressDisplay } from "./progress-bar.ts";

/** `mini` is the embedded model; everything else is a folder or a hub id. */
export function modelId(name: string): string {
  return name === "mini" ? mini : name;
}

/** Loads a model with a progress bar, hands it to `use`, and disposes of it whatever happens. */
export async function withModel<T>(name: string, use: (model: MultimodalModel) => Promise<T>): Promise<T> {
  // Only now: what runs models takes a second to load, which `waggle --help` and a misspelt flag need not wait for.
  const { load } = await import("@waggle/mllm");
  const { onProgress, stop } = progressDisplay();
  const model = await load(modelId(name), { onProgress }).finally(stop);
  try {
    return await use(model);
  } finally {
    model.dispose();
  }
}
