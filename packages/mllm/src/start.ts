/** From parts with weights to a model that answers. */
import { type OnProgress as CheckpointProgress, openCheckpoint, resolveModel, WeightCache } from "@waggle/checkpoint";
import { type Detokenizer, Engine, type GenerationOptions } from "@waggle/generation";
import type { GraphDefinition } from "@waggle/graph";
import type { ImageProcessor, Size } from "@waggle/image";
import type { LanguageModel } from "@waggle/language";
import { ConfigError, checkOptions } from "@waggle/nn";
import {
  type CompileOptions,
  placeWeights,
  type Resident,
  Runtime,
  type OnProgress as RuntimeProgress,
  type Session,
  type WeightPlacer,
} from "@waggle/runtime";
import { loadPromptTemplate, loadTokenizer, type PromptTemplate, type Tokenizer } from "@waggle/text";
import { Tensor } from "onnxruntime-common";
import type { AdapterKeys } from "./adapter-keys.ts";
import { type Adapters, adapterWeights, decoderWith } from "./adapters.ts";
import { folderProcessor, generationDefaults } from "./assets.ts";
import type { Composition } from "./compose.ts";
import type { Dialect } from "./dialect.ts";
import { type ExplainGraph, explainGraph, explainPicture } from "./explain.ts";
import { familyOf } from "./family.ts";
import { checkParts, withFreshProjector } from "./fresh-projector.ts";
import { type LoadOptions, loadOptionNames } from "./load-options.ts";
import { type Explain, MultimodalModel } from "./multimodal-model.ts";
import { type Encode, PictureFeatures } from "./picture-features.ts";
import { PromptEncoder } from "./prompt-encoder.ts";
import { checkSameTiles, type TileMerge } from "./tile-merge.ts";

/** The part of a model that sees. */
export interface Sight {
  /** Written anew at each call: training may have put other layers into the modules. */
  graph(): GraphDefinition;
  readonly processor: ImageProcessor;
  readonly placeholder: string;
  readonly tokenId: number;
  /** Of a picture, or of one of its tiles. */
  readonly tokensPerImage: number;
  readonly tiles: TileMerge | null;
  readonly dialect?: Dialect | undefined;
  /** How its projector is asked what it looked at; null where it cannot say. */
  explain(): ExplainGraph | null;
}

/** All that a model is made of, its weights bound but not read; `sight` and `composition` are null for a language model alone. */
export interface Assembly {
  readonly composition: Composition | null;
  readonly language: LanguageModel;
  readonly sight: Sight | null;
  readonly tokenizer: Tokenizer;
  /** Turns an answer's ids into text. Default: the tokenizer. */
  readonly detokenizer?: Detokenizer | undefined;
  readonly template: PromptTemplate | null;
  readonly defaults: GenerationOptions;
  /** What an adapter that is trained over it calls its modules. Default: their paths. */
  readonly adapterKeys?: AdapterKeys;
  /** The published model that it is: what an adapter names as its base. Absent where the parts were composed by hand. */
  readonly origin?: Origin;
  /** The folder that tokenizer and settings came from, where they did. */
  readonly settings?: string;
  /** Paths of parameters that have fresh weights instead of the published model's: an adapter over it has to hold them. */
  readonly initialized?: readonly string[];
  /** Several over this base, of which each request takes one or none. */
  readonly adapters?: Adapters;
  /** When loading began, by performance.now(). */
  readonly began: number;
}

export interface Origin {
  /** Folder or hub id. */
  readonly id: string;
  /** Whether that is an adapter, over which none can be trained before it is merged. */
  readonly adapted: boolean;
}

/** The model's folder; of a hub id only the files that `include` names, by default all that a model needs. */
export async function folderOf(id: string, options: LoadOptions, include?: readonly string[]): Promise<string> {
  checkOptions("load", options, loadOptionNames);
  const { signal, onProgress, revision, cacheDir, offline } = options;
  return resolveModel(id, {
    ...(signal && { signal }),
    ...(onProgress && { onProgress }),
    ...(revision !== undefined && { revision }),
    ...(cacheDir !== undefined && { cacheDir }),
    ...(offline !== undefined && { offline }),
    ...(include && { include }),
  });
}

/** The options for another repository than the one that they name a revision of. */
export function ofAnother({ revision, ...options }: LoadOptions): LoadOptions {
  return options;
}

/** How parts are loaded to be trained: `initialize` and `seed` are of no use to a model that shall answer. */
export interface ComposedLoadOptions extends LoadOptions {
  /** Parts that begin with fresh weights, whatever the checkpoint holds of such a part. Default: none, all must be there. */
  readonly initialize?: readonly "projector"[];
  /** Of the fresh weights: the same seed gives the same. Default 0. */
  readonly seed?: number;
}

/** Binds a composition's weights, and takes what it does not bring itself, from a folder or hub id. */
export async function assembleComposition(composition: Composition, id: string, options: ComposedLoadOptions): Promise<Assembly> {
  const began = performance.now();
  const { initialize: parts = [], seed = 0, ...loading } = options;
  checkParts(parts);
  const folder = await folderOf(id, loading);
  const checkpoint = await openCheckpoint(folder, loading.signal ? { signal: loading.signal } : {});
  composition.bind(parts.length > 0 ? withFreshProjector(checkpoint, composition, seed) : checkpoint);
  return boundAssembly(composition, folder, loading, began);
}

/** A composition that has its weights; what else it does not bring itself comes from the folder. */
export async function boundAssembly(composition: Composition, folder: string, options: LoadOptions, began: number): Promise<Assembly> {
  const tokenizer = composition.tokenizer ?? (await loadTokenizer(folder));
  const { placeholder } = composition;
  const family = (options.prompt && familyOf(options.prompt)) ?? composition.family;
  const tokenId = family?.tokenId ?? tokenizer.tokenId(placeholder);
  if (tokenId === undefined) {
    throw new ConfigError("compose", [
      { field: "placeholder", message: `the tokenizer has no token ${placeholder}; name the one that stands for a picture.` },
    ]);
  }
  return assemblyOf(composition, {
    tokenizer,
    processor: composition.processor ?? family?.processor(composition.modules.vision_tower.image_size) ?? (await folderProcessor(folder)),
    template: options.prompt ?? composition.prompt,
    tokenId,
    dialect: family?.dialect(tokenizer),
    defaults: await generationDefaults(folder, tokenizer),
    settings: folder,
    began,
  });
}

/** What a preset brings beside the parts and their weights. */
export interface Preset extends Pick<Assembly, "tokenizer" | "detokenizer" | "template" | "defaults" | "settings" | "began"> {
  readonly processor: ImageProcessor;
  /** What stands at a picture's positions among the ids. */
  readonly tokenId: number;
  readonly dialect?: Dialect | undefined;
}

/** A composition that has its weights, ready to start. */
export function assemblyOf(composition: Composition, { processor, tokenId, dialect, ...rest }: Preset): Assembly {
  const { placeholder, tiles, modules } = composition;
  checkPictureSize(processor, modules.vision_tower.image_size);
  checkSameTiles(tiles?.grid ?? null, processor.anyres);
  return {
    composition,
    language: modules.language_model,
    sight: {
      graph: () => composition.visionGraph(),
      processor,
      placeholder,
      tokenId,
      tokensPerImage: composition.tokensPerImage,
      tiles,
      dialect,
      explain: () => explainGraph(modules.vision_tower, modules.multi_modal_projector),
    },
    ...rest,
  };
}

/** A language model that stands alone and has its weights. */
export async function languageAssembly(language: LanguageModel, folder: string, options: LoadOptions, began: number): Promise<Assembly> {
  const tokenizer = await loadTokenizer(folder);
  const template = options.prompt ?? (await loadPromptTemplate(folder));
  const defaults = await generationDefaults(folder, tokenizer);
  return { composition: null, language, sight: null, tokenizer, template, defaults, settings: folder, began };
}

/** Compiles the sessions. */
export async function start(assembly: Assembly, options: LoadOptions = {}): Promise<MultimodalModel> {
  const { language, sight, tokenizer, detokenizer, template, defaults, adapters = null, began } = assembly;
  const { signal, onProgress, threads, device, slots } = options;
  signal?.throwIfAborted();
  const runtime = new Runtime({ ...(threads !== undefined && { threads }), ...(device !== undefined && { device }) });
  try {
    const encoder = new PromptEncoder(tokenizer, template, sight);
    const compile = { weights: weightPlacer(options.weightCache), ...(signal && { signal }), ...(onProgress && { onProgress }) };
    const session = await runtime.compile({ name: "decoder", ...decoderWith(language, adapters) }, compile);
    const pictures = sight && (await openEyes({ runtime, sight, adapters, compile, width: language.hidden_size }));
    const blank = await runtime.allocate("float32", [1, language.hidden_size]);
    const features = (): Resident => pictures?.resident ?? blank;
    const engine = new Engine({
      runtime,
      session,
      decoder: language,
      features,
      adapters: adapters?.names.length ?? 0,
      ...(slots !== undefined && { slots }),
    });
    const loadMs = performance.now() - began;
    const limits = options.pictures ?? {};
    const dialect = sight?.dialect;
    const how = sight?.explain() ?? null;
    const explain = sight && how ? explainer(runtime, how, sight.processor, compile.weights) : null;
    return new MultimodalModel({
      runtime,
      engine,
      encoder,
      tokenizer,
      detokenizer,
      dialect,
      pictures,
      explain,
      adapters,
      defaults,
      limits,
      loadMs,
    });
  } catch (error) {
    runtime.dispose();
    throw error;
  }
}

interface Eyes {
  readonly runtime: Runtime;
  readonly sight: Sight;
  readonly adapters: Adapters | null;
  readonly compile: CompileOptions;
  readonly width: number;
}

async function openEyes({ runtime, sight, adapters, compile, width }: Eyes): Promise<PictureFeatures> {
  const { processor, tokensPerImage, tiles } = sight;
  const graph = sight.graph();
  const inputs = { ...graph.inputs, ...Object.fromEntries(adapters?.varying ?? []) };
  const vision = await runtime.compile({ ...graph, inputs }, compile);
  const weights = adapters ? await adapterWeights(runtime, adapters, compile) : [];
  const encode: Encode = async (picture, features, firstRow, signal, variant) => {
    const { pixel_values, shape } = await processor.process([picture], signal ? { signal } : {});
    const write = [{ output: "features", into: features, axis: 0, offset: [firstRow] }];
    const feeds = {
      pixel_values: new Tensor("float32", pixel_values, shape),
      ...(tiles && { token_rows: int64(tiles.tokenRows(picture)) }),
      ...weights[variant],
    };
    await vision.run(feeds, { write, ...(signal && { signal }) });
  };
  const tokens = (picture: Size): number => tiles?.tokenRows(picture).length ?? tokensPerImage;
  return PictureFeatures.create(runtime, { tokens, width, encode });
}

/** Its session is compiled when it is first asked: most models never are. */
function explainer(runtime: Runtime, how: ExplainGraph, processor: ImageProcessor, weights: WeightPlacer): Explain {
  let session: Promise<Session> | null = null;
  return async (picture, signal) => {
    session ??= runtime.compile(how.graph, { weights });
    session.catch(() => (session = null));
    return explainPicture(await session, how, processor, picture, signal);
  };
}

function int64(values: readonly number[]): Tensor {
  return new Tensor("int64", BigInt64Array.from(values, BigInt), [values.length]);
}

/** Float32 weights are mapped where they lie; others are converted once, into the cache on disk. */
/** Weights that are not float32 are converted once, into the cache. */
export function weightPlacer(cache: WeightCache = new WeightCache()): WeightPlacer {
  return placeWeights({
    convert: (requests, context) => {
      const wanted = requests.map(({ name, source, dtype }) => {
        if (dtype !== "float32")
          throw new ConfigError(name, [{ field: "dtype", message: `weights of type ${dtype} are not converted; float32 is.` }]);
        return { name, source, dtype };
      });
      const { signal, onProgress } = context;
      return cache.get(wanted, { ...(signal && { signal }), ...(onProgress && { onProgress: convertOnly(onProgress) }) });
    },
  });
}

/** The cache shares its form of progress with downloads, which the runtime knows nothing of. */
function convertOnly(onProgress: RuntimeProgress): CheckpointProgress {
  return ({ phase, ...rest }) => phase !== "cached" && onProgress({ phase, ...rest });
}

function checkPictureSize(processor: ImageProcessor, { height, width }: Size): void {
  const { output } = processor;
  if (output === null || (output.height === height && output.width === width)) return;
  const message = `pictures come out at ${output.width}×${output.height}, but the vision encoder takes ${width}×${height} (image_size of its config).`;
  throw new ConfigError("image processor", [{ field: "crop_size", message }]);
}
