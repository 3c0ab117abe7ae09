import { mini } from "@waggle/mini";
import { type LoadOptions, load, type MultimodalModel } from "@waggle/mllm";
import { progressDisplay } from "./progress-bar.ts";

/** `mini` is the embedded model; everything else is a folder or a hub id. */
export function modelId(name: string): string {
  return name === "mini" ? mini : name;
}

/** Loads a model with a progress bar, hands it to `use`, and disposes of it whatever happens. */
export async function withModel<T>(name: string, use: (model: MultimodalModel) => Promise<T>, options: LoadOptions = {}): Promise<T> {
  const { onProgress, stop } = progressDisplay();
  const model = await load(modelId(name), { ...options, onProgress }).finally(stop);
  try {
    return await use(model);
  } finally {
    model.dispose();
  }
}
