/** The CLIP that a LLaVA folder names and does not hold: `openai/clip-vit-large-patch14-336`. */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { ConfigError } from "@waggle/nn";
import { optionalObject } from "./assets.ts";
import type { OriginalLlavaConfig } from "./llava-original-config.ts";
import type { LoadOptions } from "./load-options.ts";
import type { ModelFolder } from "./model-folder.ts";
import { folderOf, ofAnother } from "./start.ts";

type Fields = Readonly<Record<string, unknown>>;

export interface EncoderFolder {
  /** What `clip` of @waggle/vision reads. */
  readonly vision_config: Fields;
  /** preprocessor_config.json. */
  readonly preprocessor: Fields;
  /** The folder of its weights; they may not be needed, and are not downloaded before they are. */
  weights(): Promise<string>;
}

/** A path is looked for beside the model's files, then beside its base's; what is in neither place is a hub id. */
export async function openEncoderFolder(
  { vision_tower, vision }: OriginalLlavaConfig,
  { folder, base, config }: Pick<ModelFolder, "folder" | "base" | "config">,
  options: LoadOptions,
): Promise<EncoderFolder> {
  const find = async (include?: readonly string[]): Promise<string> => {
    if (vision_tower === null)
      throw new ConfigError(join(config, "config.json"), [{ field: "vision_model_name_or_path", message: "is missing." }]);
    for (const place of [join(folder, vision_tower), join(base, vision_tower)]) if (await isFolder(place)) return place;
    return folderOf(vision_tower, ofAnother(options), include);
  };
  const settings = vision !== null && (await optionalObject(join(base, "preprocessor_config.json")));
  const small = settings ? null : await find(["*.json"]);
  const own = small === null ? null : await optionalObject(join(small, "config.json"));
  const vision_config = vision ?? visionConfigOf(own ?? undefined, join(small ?? "", "config.json"));
  const size = vision_config.image_size ?? 224;
  const preprocessor = settings || (await optionalObject(join(small ?? "", "preprocessor_config.json")));
  return {
    vision_config,
    preprocessor: preprocessor ?? { image_processor_type: "CLIPImageProcessor", size, crop_size: size },
    weights: () => find(),
  };
}

/** A whole CLIP's config holds its vision encoder's; older ones in two places, of which the second counts. */
function visionConfigOf(config: Fields | undefined, file: string): Fields {
  if (config === undefined) throw new ConfigError(file, [{ field: "", message: "is missing: it says what the vision encoder is." }]);
  const { model_type, vision_config, vision_config_dict } = config;
  if (model_type === "clip_vision_model") return config;
  if (model_type === "clip") return { ...asFields(vision_config), ...asFields(vision_config_dict) };
  const message = `${JSON.stringify(model_type)} is not supported as a vision encoder. Supported: clip, clip_vision_model.`;
  throw new ConfigError(file, [{ field: "model_type", message }]);
}

function asFields(value: unknown): Fields {
  return typeof value === "object" && value !== null ? (value as Fields) : {};
}

function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}
