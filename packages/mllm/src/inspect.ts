import { CheckpointError } from "@waggle/checkpoint";
import type { Module } from "@waggle/nn";
import { llavaHf } from "@waggle/text";
import { bindWeights } from "./bind.ts";
import { bindBlip2, blip2Composition } from "./blip2.ts";
import { buildLanguage } from "./build-language.ts";
import { publishedKey } from "./checkpoint-keys.ts";
import { type Composition, compose } from "./compose.ts";
import { openEncoderFolder } from "./encoder-folder.ts";
import { honeybeeComposition, honeybeeKey } from "./honeybee.ts";
import { openOriginalLlava, originalLlava, originalLlavaSpelling } from "./llava-original.ts";
import { llavaParts, readConfig } from "./load.ts";
import type { LoadOptions } from "./load-options.ts";
import { miniGpt4Composition } from "./minigpt4.ts";
import { isMiniGpt4 } from "./minigpt4-folder.ts";
import { openMiniGpt4Files, openMiniGpt4Folder } from "./minigpt4-parts.ts";
import { openModelFolder, openWeights } from "./model-folder.ts";

/** One part of a model. */
export interface PartDescription {
  readonly name: "vision encoder" | "projector" | "language model";
  /** Numbers in the weights that are used; a vision encoder's last layers often are not. */
  readonly parameters: number;
  /** The same in the file's types, in bytes; null while the weights are not on this machine. */
  readonly storedBytes: number | null;
  /** Element types in the file. */
  readonly dtypes: readonly string[];
  /** Its sizes, spelled as in config.json. */
  readonly sizes: Readonly<Record<string, number>>;
}

export interface ModelDescription {
  readonly folder: string;
  readonly model_type: string;
  readonly parts: readonly PartDescription[];
  readonly parameters: number;
  /** Of each view, where pictures are cut into tiles; null for a model that takes text only. */
  readonly tokensPerImage: number | null;
  /** Positions of prompt and answer together; null where nothing bounds them. */
  readonly maxPositions: number | null;
  readonly memory: {
    /** The weights as they are run, in float32. */
    readonly weightBytes: number;
    /** Of these: weights of another type, converted once into the cache on disk. */
    readonly convertedBytes: number;
    /** Keys and values of one position, and of all that the model has. */
    readonly cacheBytesPerToken: number;
    readonly cacheBytesAtMaxPositions: number | null;
  };
}

/** What brings the keys of an adapter and its base to one form. */
const spellings: { readonly [type: string]: ((key: string) => string) | undefined } = { llava: publishedKey, honeybee: honeybeeKey };

/**
 * What a model is and what it needs, from config.json and the headers of its weight files. Of a hub id only the small
 * files are downloaded; weights that are not here are described by what config.json implies.
 */
export async function inspect(id: string, options: LoadOptions = {}): Promise<ModelDescription> {
  const model = await openModelFolder(id, options, ["*.json"]);
  const { folder } = model;
  if (await isMiniGpt4(folder)) {
    return describeComposition(folder, "minigpt4", miniGpt4Composition(await openMiniGpt4Files(folder, options)));
  }
  const config = await readConfig(model.config);
  const checkpoint =
    config.model_type === "llava_llama" || config.model_type === "minigpt4"
      ? null
      : await ifHere(() => openWeights(model, options, spellings[config.model_type]));
  switch (config.model_type) {
    case "text": {
      const language = buildLanguage(config.text);
      if (checkpoint) bindWeights(language, checkpoint);
      return describe(folder, config.text.model_type, [describeLanguage(language)], language, null);
    }
    case "llava": {
      const composition = compose({ ...llavaParts(config), prompt: llavaHf });
      if (checkpoint) composition.bind(checkpoint);
      return describeComposition(folder, config.model_type, composition);
    }
    case "llava_llama": {
      const opened = await ifHere(() => openOriginalLlava(config, model, options));
      if (opened) bindWeights(opened.composition.modules, opened.state, originalLlavaSpelling(config));
      const { composition } = opened ?? originalLlava(config, model, await openEncoderFolder(config, model, options));
      return describeComposition(folder, config.model_type, composition);
    }
    case "minigpt4":
      return describeComposition(folder, config.model_type, miniGpt4Composition(await openMiniGpt4Folder(folder, config, options)));
    case "honeybee": {
      const composition = honeybeeComposition(config);
      if (checkpoint) composition.bind(checkpoint);
      return describeComposition(folder, config.model_type, composition);
    }
    case "blip-2": {
      const composition = blip2Composition(config);
      if (checkpoint) bindBlip2(composition, checkpoint);
      return describeComposition(folder, config.model_type, composition);
    }
    default:
      return config satisfies never;
  }
}

function describeComposition(folder: string, model_type: string, { modules, tokensPerImage }: Composition): ModelDescription {
  const { vision_tower, multi_modal_projector, language_model } = modules;
  const { hidden_size, image_size, patches } = vision_tower;
  const parts = [
    describePart("vision encoder", vision_tower, { hidden_size, image_height: image_size.height, image_width: image_size.width, patches }),
    describePart("projector", multi_modal_projector, { tokens: tokensPerImage, text_hidden_size: language_model.hidden_size }),
    describeLanguage(language_model),
  ];
  return describe(folder, model_type, parts, language_model, tokensPerImage);
}

type Language = ReturnType<typeof buildLanguage>;

function describe(
  folder: string,
  model_type: string,
  parts: readonly PartDescription[],
  language: Language,
  tokensPerImage: number | null,
): ModelDescription {
  const sum = (of: (part: PartDescription) => number) => parts.reduce((total, part) => total + of(part), 0);
  const cacheBytesPerToken = 2 * language.layers * language.kv_heads * language.head_dim * 4;
  const maxPositions = Number.isFinite(language.max_positions) ? language.max_positions : null;
  return {
    folder,
    model_type,
    parts,
    parameters: sum(({ parameters }) => parameters),
    tokensPerImage,
    maxPositions,
    memory: {
      weightBytes: 4 * sum(({ parameters }) => parameters),
      convertedBytes: 4 * sum(({ parameters, dtypes }) => (dtypes.every((dtype) => dtype === "float32") ? 0 : parameters)),
      cacheBytesPerToken,
      cacheBytesAtMaxPositions: maxPositions === null ? null : maxPositions * cacheBytesPerToken,
    },
  };
}

function describeLanguage(language: Language): PartDescription {
  const { hidden_size, layers, kv_heads, head_dim, vocab_size } = language;
  return describePart("language model", language, {
    hidden_size,
    num_hidden_layers: layers,
    num_key_value_heads: kv_heads,
    head_dim,
    vocab_size,
  });
}

function describePart(name: PartDescription["name"], module: Module, sizes: PartDescription["sizes"]): PartDescription {
  const sources = Array.from(module.namedParameters(), ([, parameter]) => parameter.source);
  const known = sources.flatMap((source) => source ?? []);
  const storedBytes = known.length < sources.length ? null : known.reduce((bytes, source) => bytes + (source.location?.byteLength ?? 0), 0);
  return { name, parameters: module.parameterCount(), storedBytes, dtypes: [...new Set(known.map(({ dtype }) => dtype))].sort(), sizes };
}

/** What comes of opening weights; null where the folder holds none, or not all of them. */
async function ifHere<T>(open: () => Promise<T>): Promise<T | null> {
  try {
    return await open();
  } catch (error) {
    if (error instanceof CheckpointError && error.problems.every(({ code }) => code === "not_found" || code === "missing_shard"))
      return null;
    throw error;
  }
}
