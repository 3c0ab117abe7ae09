/** A MiniGPT-4 before it is composed: from its authors' four files, or from the one folder that `convert` writes. */
import { join } from "node:path";
import { openCheckpoint, readJson } from "@waggle/checkpoint";
import { type Adapter, ConfigError, parseConfig } from "@waggle/nn";
import { z } from "zod";
import type { LoadOptions } from "./load-options.ts";
import { type MiniGpt4Dims, readMiniGpt4Dims } from "./minigpt4-config.ts";
import { openMiniGpt4 } from "./minigpt4-folder.ts";
import { type MiniGpt4State, readMiniGpt4State, sideOf } from "./minigpt4-state.ts";
import { type MiniGpt4Config, readModelConfig, type TextPart } from "./model-config.ts";
import { adapted } from "./model-folder.ts";

export interface MiniGpt4Parts {
  readonly dims: MiniGpt4Dims;
  readonly text: TextPart;
  readonly weights: MiniGpt4State;
  /** Where the tokenizer and generation_config.json are. */
  readonly llm: string;
  /** What config.json holds, or would. */
  readonly config: Readonly<Record<string, unknown>>;
}

/** From the authors' files. */
export async function openMiniGpt4Files(folder: string, { signal }: LoadOptions): Promise<MiniGpt4Parts> {
  const files = await openMiniGpt4(folder);
  const dims = readMiniGpt4Dims(files.dims, join(folder, "dims.json"));
  const weights = await readMiniGpt4State(files, dims, folder, signal ? { signal } : {});
  const file = join(files.llm, "config.json");
  const llm = parseConfig(file, z.record(z.string(), z.unknown()), await readJson(file));
  const text = textPart(llm, file);
  const { vit = {}, qformer = {} } = files.dims;
  return { dims, text, weights, llm: files.llm, config: { model_type: "minigpt4", vit, qformer, text_config: llm } };
}

/** From one folder, whose keys are the composition's. */
export async function openMiniGpt4Folder(folder: string, config: MiniGpt4Config, { signal }: LoadOptions): Promise<MiniGpt4Parts> {
  const file = join(folder, "config.json");
  const dims = readMiniGpt4Dims(config.fields, file);
  const state = await openCheckpoint(folder, signal ? { signal } : {});
  const table = state.tensors.get("vision_tower.visual_encoder.pos_embed");
  const weights: MiniGpt4State = {
    state,
    spelling: (key) => key,
    grouped: !state.tensors.has("multi_modal_projector.query_tokens"),
    trained_image_size: sideOf(table, folder) * dims.vision.patch_size,
  };
  return { dims, text: textPart(config.fields.text_config, `${file}: text_config`), weights, llm: folder, config: config.fields };
}

/** The same with an adapter in its weights. */
export function adaptedParts(parts: MiniGpt4Parts, adapter: Adapter | null): MiniGpt4Parts {
  const { weights } = parts;
  return { ...parts, weights: { ...weights, state: adapted(weights.state, adapter, weights.spelling) } };
}

function textPart(json: unknown, file: string): TextPart {
  const llm = readModelConfig(json, file);
  if (llm.model_type === "text") return llm.text;
  throw new ConfigError(file, [{ field: "model_type", message: `expected a language model alone, got ${llm.model_type}.` }]);
}
