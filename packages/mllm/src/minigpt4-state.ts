/**
 * One state_dict from the files of a MiniGPT-4. Keys say which file they come from, so that errors do.
 *
 *     eva_vit_g.pth              *                                                        vision_tower.visual_encoder.*
 *                                blocks behind the last that is used, norm, head …        passed over
 *     blip2_pretrained_*.pth     model.{query_tokens, Qformer.*}                          multi_modal_projector.*
 *                                model.ln_vision.*                                        vision_tower.ln_vision.*
 *     pre[t]rained_minigpt4*     model.llama_proj.*, and whatever else was trained        multi_modal_projector.* …, before the other files'
 *                                optimizer, scaler, config, epoch                         passed over
 *     llm/                       *                                                        language_model.*
 *
 * The authors load the first three with strict=False: keys of parts that the model has not got are passed over. A key that
 * a part lacks, or that one does not know, is an error here.
 */
import { basename } from "node:path";
import { type Checkpoint, type OpenOptions, openCheckpoint, openTorch } from "@waggle/checkpoint";
import type { WeightSource } from "@waggle/graph";
import { ConfigError, computedSource, type StateDict } from "@waggle/nn";
import type { MiniGpt4Dims } from "./minigpt4-config.ts";
import type { MiniGpt4Folder } from "./minigpt4-folder.ts";

export interface MiniGpt4State {
  readonly state: StateDict;
  /** The composition's spelling of the state's keys. */
  readonly spelling: (key: string) => string;
  /** Four patches to a token, no Q-Former: the variant for Llama 2. */
  readonly grouped: boolean;
  /** Side of the pictures that the table of positions was trained with. */
  readonly trained_image_size: number;
}

type Placed = ReadonlyMap<string, { readonly key: string; readonly source: WeightSource }>;

export async function readMiniGpt4State(
  files: MiniGpt4Folder,
  dims: MiniGpt4Dims,
  folder: string,
  options: OpenOptions,
): Promise<MiniGpt4State> {
  const { hidden_size: C, num_hidden_layers, patch_size } = dims.vision;
  const projector = placed(await openTorch(files.projector, options), trainedPlace);
  const inputs = projector.get("multi_modal_projector.llama_proj.weight")?.source.shape[1];
  const grouped = inputs === 4 * C && (files.blip2 === null || inputs !== dims.qformer.hidden_size);
  if (!grouped && files.blip2 === null) {
    const message = `is missing: the Q-Former, which LAVIS publishes. Only llama_proj with ${4 * C} inputs (the variant for Llama 2) goes without; this has ${inputs}.`;
    throw new ConfigError(folder, [{ field: "blip2_pretrained_flant5xxl.pth", message }]);
  }
  const all: Placed = new Map([
    ...placed(await openTorch(files.eva, options), (key) => (isUsed(key, num_hidden_layers) ? `vision_tower.visual_encoder.${key}` : null)),
    ...(grouped || files.blip2 === null ? untrainedNorm(C) : placed(await openTorch(files.blip2, options), trainedPlace)),
    ...projector,
    ...placed(await openCheckpoint(files.llm, options), (key) => `language_model.${key}`),
  ]);
  const paths = new Map(Array.from(all, ([path, { key }]) => [key, path]));
  return {
    state: { source: folder, tensors: new Map(Array.from(all.values(), ({ key, source }) => [key, source])) },
    spelling: (key) => paths.get(key) ?? key,
    grouped,
    trained_image_size: sideOf(all.get("vision_tower.visual_encoder.pos_embed")?.source, files.eva) * patch_size,
  };
}

/** The tensors of a file under their paths in the composition; null: of no use. */
function placed({ source, tensors }: Checkpoint, place: (key: string) => string | null): Placed {
  return new Map(
    [...tensors].flatMap(([name, entry]) => {
      const path = place(name);
      return path === null ? [] : [[path, { key: `${basename(source)}: ${name}`, source: entry }] as const];
    }),
  );
}

const parts: Readonly<Record<string, string>> = {
  visual_encoder: "vision_tower",
  ln_vision: "vision_tower",
  query_tokens: "multi_modal_projector",
  Qformer: "multi_modal_projector",
  llama_proj: "multi_modal_projector",
};

/** Where a tensor of a training checkpoint belongs. */
function trainedPlace(key: string): string | null {
  const name = key.replace(/^model\./, "");
  const part = parts[name.split(".")[0] ?? ""];
  if (part !== undefined) return `${part}.${name}`;
  return name.startsWith("llama_model.") ? name.replace("llama_model.", "language_model.") : null;
}

/** EVA-CLIP has more than is used: blocks behind the last, a norm and a head. */
function isUsed(key: string, depth: number): boolean {
  const [part = "", index] = key.split(".");
  return part === "blocks" ? Number(index) < depth : ["cls_token", "pos_embed", "patch_embed"].includes(part);
}

/** The variant for Llama 2 reads no file that holds ln_vision: the authors leave it as it is made. */
function untrainedNorm(width: number): Placed {
  const filled = (name: string, value: number) => {
    const source = computedSource("float32", [width], `ln_vision.${name} ${value}`, async () => new Float32Array(width).fill(value));
    return [`vision_tower.ln_vision.${name}`, { key: `(untrained): ln_vision.${name}`, source }] as const;
  };
  return new Map([filled("weight", 1), filled("bias", 0)]);
}

/** The grid that a table of positions [1, 1 + side², C] is for. */
export function sideOf(source: WeightSource | undefined, file: string): number {
  const side = Math.sqrt((source?.shape[1] ?? 0) - 1);
  if (Number.isInteger(side) && side >= 1) return side;
  const got = source === undefined ? "there is none" : `got [${source.shape}]`;
  throw new ConfigError(file, [{ field: "pos_embed", message: `expected [1, 1 + side², width], ${got}.` }]);
}
