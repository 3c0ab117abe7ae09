/**
 * The files of a MiniGPT-4, published in four places, in one folder. There is no config.json: the authors' code fixes the
 * sizes in its source, and dims.json, if there is one, says otherwise.
 *
 *     eva_vit_g.pth                    vision encoder, by LAVIS
 *     blip2_pretrained_flant5xxl.pth   Q-Former and ln_vision, by LAVIS; not read by the variant for Llama 2
 *     prerained_minigpt4_7b.pth        llama_proj, as published (sic); 13B: pretrained_minigpt4.pth; or the only other .pth
 *     llm/                             Vicuna or Llama 2, or the only other folder with a config.json
 */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { ConfigError, type ConfigProblem, parseConfig } from "@waggle/nn";
import type { QFormerOptions } from "@waggle/projectors";
import { z } from "zod";
import { optionalObject } from "./assets.ts";

export interface MiniGpt4Folder {
  readonly eva: string;
  /** null where there is none. */
  readonly blip2: string | null;
  readonly projector: string;
  readonly llm: string;
  readonly dims: MiniGpt4Dims;
}

/** Sizes, spelled as `eva` and `qFormer` have them. */
export interface MiniGpt4Dims {
  readonly vision: {
    readonly hidden_size: number;
    readonly intermediate_size: number;
    readonly num_hidden_layers: number;
    readonly num_attention_heads: number;
    readonly patch_size: number;
  };
  /** Side of the pictures. */
  readonly image_size: number;
  readonly qformer: QFormerOptions;
}

const evaFile = /^eva_vit_g.*\.pth$/;
const blip2File = /^blip2_pretrained.*\.pth$/;
const projectorFile = /^pre(t)?rained_minigpt4.*\.pth$/;

/** Has this folder the files of a MiniGPT-4, or some of them, and no config.json that says what else it is? */
export async function isMiniGpt4(folder: string): Promise<boolean> {
  const names = await namesIn(folder);
  return !names.includes("config.json") && names.some((name) => [evaFile, blip2File, projectorFile].some((file) => file.test(name)));
}

/** Finds the files; what is missing or there twice is one error. */
export async function openMiniGpt4(folder: string): Promise<MiniGpt4Folder> {
  const names = (await readdir(folder)).sort();
  const problems: ConfigProblem[] = [];
  const one = (field: string, what: string, found: readonly string[]): string => {
    const [first = "", ...more] = found;
    if (first === "") problems.push({ field, message: `is missing: ${what}.` });
    if (more.length > 0) problems.push({ field, message: `expected one file or folder, got ${found.join(", ")}: ${what}.` });
    return join(folder, first);
  };
  const eva = one(
    "eva_vit_g.pth",
    "the vision encoder, which LAVIS publishes",
    names.filter((name) => evaFile.test(name)),
  );
  const blip2 = names.filter((name) => blip2File.test(name));
  if (blip2.length > 1) one("blip2_pretrained_flant5xxl.pth", "the Q-Former, which LAVIS publishes", blip2);
  const others = names.filter((name) => name.endsWith(".pth") && !evaFile.test(name) && !blip2File.test(name));
  const published = others.filter((name) => projectorFile.test(name));
  const projector = one(
    "prerained_minigpt4_7b.pth",
    "llama_proj, which MiniGPT-4 publishes (13B: pretrained_minigpt4.pth)",
    published.length > 0 ? published : others,
  );
  const folders = await foldersWithConfig(folder, names);
  const llm = one("llm/", "the folder of the language model, with its config.json", folders.includes("llm") ? ["llm"] : folders);
  if (problems.length > 0) throw new ConfigError(folder, problems);
  return { eva, blip2: blip2[0] === undefined ? null : join(folder, blip2[0]), projector, llm, dims: await readDims(folder) };
}

async function foldersWithConfig(folder: string, names: readonly string[]): Promise<string[]> {
  const found = await Promise.all(
    names.map(async (name) => {
      const inside = await namesIn(join(folder, name));
      return inside.includes("config.json") ? [name] : [];
    }),
  );
  return found.flat();
}

/** Of a file, or of nothing: no names. */
async function namesIn(folder: string): Promise<readonly string[]> {
  return readdir(folder).catch((): string[] => []);
}

const size = z.number();
const dims = z.looseObject({
  vit: z
    .looseObject({ patch_size: size, embed_dim: size, depth: size, num_heads: size, mlp_ratio: size, image_size: size })
    .partial()
    .default({}),
  qformer: z
    .looseObject({
      num_query_token: size,
      hidden_size: size,
      num_hidden_layers: size,
      num_attention_heads: size,
      intermediate_size: size,
      cross_attention_freq: size,
      layer_norm_eps: z.number().positive(),
      hidden_act: z.literal("gelu", { error: "expected gelu, the only one that a Q-Former was published with." }),
    })
    .partial()
    .default({}),
});

async function readDims(folder: string): Promise<MiniGpt4Dims> {
  const file = join(folder, "dims.json");
  const { vit, qformer } = parseConfig(file, dims, (await optionalObject(file)) ?? {});
  const { embed_dim = 1408, mlp_ratio = 4.3637, depth = 39, num_heads = 16, patch_size = 14, image_size = 224 } = vit;
  return {
    vision: {
      hidden_size: embed_dim,
      intermediate_size: Math.trunc(embed_dim * mlp_ratio),
      num_hidden_layers: depth,
      num_attention_heads: num_heads,
      patch_size,
    },
    image_size,
    qformer: {
      tokens: qformer.num_query_token ?? 32,
      hidden_size: qformer.hidden_size ?? 768,
      num_hidden_layers: qformer.num_hidden_layers ?? 12,
      num_attention_heads: qformer.num_attention_heads ?? 12,
      intermediate_size: qformer.intermediate_size ?? 3072,
      cross_attention_freq: qformer.cross_attention_freq ?? 2,
      layer_norm_eps: qformer.layer_norm_eps ?? 1e-12,
    },
  };
}
