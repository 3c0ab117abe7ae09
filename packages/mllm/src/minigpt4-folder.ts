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
import { ConfigError, type ConfigProblem } from "@waggle/nn";
import { optionalObject } from "./assets.ts";

export interface MiniGpt4Folder {
  readonly eva: string;
  /** null where there is none. */
  readonly blip2: string | null;
  readonly projector: string;
  readonly llm: string;
  /** dims.json, or nothing. */
  readonly dims: Readonly<Record<string, unknown>>;
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
  return {
    eva,
    blip2: blip2[0] === undefined ? null : join(folder, blip2[0]),
    projector,
    llm,
    dims: (await optionalObject(join(folder, "dims.json"))) ?? {},
  };
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
