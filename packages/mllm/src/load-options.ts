import type { WeightCache } from "@waggle/checkpoint";
import type { DecodeOptions } from "@waggle/image";
import type { Device } from "@waggle/runtime";
import type { PromptTemplate } from "@waggle/text";

/** How far a long piece of work is, in bytes. */
export interface Progress {
  readonly phase: "download" | "cached" | "convert" | "write" | "load";
  readonly file: string;
  readonly loaded: number;
  readonly total: number;
}

export interface LoadOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  /** Threads of ONNX Runtime. Default: as many as the process may use. */
  readonly threads?: number;
  /** Default "cpu". */
  readonly device?: Device;
  /** Of a hub id: branch, tag or commit. Default `main`. */
  readonly revision?: string;
  /** Folder or hub id of the model that an adapter (PEFT) or a projector (mm_projector.bin) was trained over. */
  readonly base?: string;
  /** Of a hub id: where the Hugging Face cache is. */
  readonly cacheDir?: string;
  /** Of a hub id: use only what the cache holds. */
  readonly offline?: boolean;
  /** Where weights go that have to be converted. */
  readonly weightCache?: WeightCache;
  /** Instead of the folder's own chat template. */
  readonly prompt?: PromptTemplate;
  /** Limits for pictures: pixels, bytes, time, addresses. */
  readonly pictures?: Omit<DecodeOptions, "signal">;
  /** Requests served at the same time. Default 4. */
  readonly slots?: number;
}

/** How a model is loaded that answers. */
export interface ModelOptions extends LoadOptions {
  /** Adapters (PEFT folders or hub ids) over this model, by the names that requests choose them by. */
  readonly adapters?: Readonly<Record<string, string>>;
}

export const loadOptionNames: readonly (keyof LoadOptions)[] = [
  "signal",
  "onProgress",
  "threads",
  "device",
  "revision",
  "base",
  "cacheDir",
  "offline",
  "weightCache",
  "prompt",
  "pictures",
  "slots",
];
