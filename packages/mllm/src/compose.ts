import { dimMul, type GraphDefinition, input, ops, shapeOf, symbol, type Value } from "@waggle/graph";
import type { ImageProcessor } from "@waggle/image";
import { decoderGraph, type LanguageModel } from "@waggle/language";
import { ConfigError, type ConfigProblem, checkOptions, Module, normal, Parameter, type StateDict } from "@waggle/nn";
import { checkProjector, type Projector, type ProjectorFactory } from "@waggle/projectors";
import type { PromptTemplate, Tokenizer } from "@waggle/text";
import type { VisionEncoder } from "@waggle/vision";
import { bindWeights } from "./bind.ts";
import { publishedKey } from "./checkpoint-keys.ts";
import { type FamilyPrompt, familyOf } from "./family.ts";
import type { MultimodalModel } from "./multimodal-model.ts";
import { type Assembly, assembleComposition, type ComposedLoadOptions, start } from "./start.ts";
import { checkTiles, type TileMerge } from "./tile-merge.ts";

/** What a width must be beside `Known`: the same, where both are known to the compiler. */
type SameWidth<Known extends number, Given extends number> = number extends Known ? Given : number extends Given ? Given : Known;

/** Parts that fit: a projector between a vision encoder's width C and a language model's width D. */
export interface Parts<C extends number, D extends number, PC extends number, PD extends number> {
  readonly vision: VisionEncoder<C>;
  readonly projector:
    | ProjectorFactory
    | (Projector<PC, PD> & { readonly vision_hidden_size: SameWidth<C, PC>; readonly text_hidden_size: SameWidth<D, PD> });
  readonly language: LanguageModel<D>;
  readonly prompt: PromptTemplate;
  /** Default: the folder's own. */
  readonly tokenizer?: Tokenizer;
  /** Default: the folder's own. */
  readonly processor?: ImageProcessor;
  /** What stands for a picture in a prompt. Default `<image>`. */
  readonly placeholder?: string;
  /** For a processor that cuts pictures into tiles: how their tokens become one sequence. */
  readonly tiles?: TileMerge;
}

/**
 * A multimodal model from its parts. Widths that do not fit are a compile error where they are literals, and one
 * ConfigError where they come from files; a projector whose `forward` does not make what it promises is one too.
 */
export function compose<C extends number, D extends number, PC extends number = number, PD extends number = number>(
  parts: Parts<C, D, PC, PD>,
): Composition {
  checkOptions("compose", parts, ["vision", "projector", "language", "prompt", "tokenizer", "processor", "placeholder", "tiles"]);
  const { vision, projector, language, ...rest } = parts;
  const built = typeof projector === "function" ? projector(vision.hidden_size, language.hidden_size, vision.grid) : projector;
  const problems: ConfigProblem[] = [];
  if (built.vision_hidden_size !== vision.hidden_size) {
    problems.push({
      field: "projector.vision_hidden_size",
      message: `expected ${vision.hidden_size}, the width of the vision encoder, got ${built.vision_hidden_size}.`,
    });
  }
  if (built.text_hidden_size !== language.hidden_size) {
    problems.push({
      field: "projector.text_hidden_size",
      message: `expected ${language.hidden_size}, the width of the language model, got ${built.text_hidden_size}.`,
    });
  }
  if (problems.length > 0) throw new ConfigError("compose", problems);
  checkProjector(built, vision.patches);
  if (rest.tiles) checkTiles("compose", vision.grid, vision.patches, built.tokenCount(vision.patches));
  return new Composition(new MultimodalModules(vision, built, language, rest.tiles?.newline), rest);
}

/** The parts under the names that a llava-hf checkpoint gives them. */
export class MultimodalModules extends Module {
  readonly vision_tower: VisionEncoder;
  readonly multi_modal_projector: Projector;
  readonly language_model: LanguageModel;
  /** [D], where pictures are cut into tiles whose rows of tokens end with it. */
  readonly image_newline: Parameter | null;

  constructor(vision_tower: VisionEncoder, multi_modal_projector: Projector, language_model: LanguageModel, newline = false) {
    super();
    this.vision_tower = vision_tower;
    this.multi_modal_projector = multi_modal_projector;
    this.language_model = language_model;
    this.image_newline = newline ? new Parameter([language_model.hidden_size], { init: normal(language_model.hidden_size ** -0.5) }) : null;
  }
}

/** A model whose parts fit together. It has no weights until they are loaded. */
export class Composition {
  readonly modules: MultimodalModules;
  readonly prompt: PromptTemplate;
  readonly tokenizer: Tokenizer | undefined;
  readonly processor: ImageProcessor | undefined;
  readonly placeholder: string;
  readonly tiles: TileMerge | null;

  constructor(
    modules: MultimodalModules,
    {
      prompt,
      tokenizer,
      processor,
      placeholder = "<image>",
      tiles,
    }: Pick<Parts<number, number, number, number>, "prompt" | "tokenizer" | "processor" | "placeholder" | "tiles">,
  ) {
    this.modules = modules;
    this.prompt = prompt;
    this.tokenizer = tokenizer;
    this.processor = processor;
    this.placeholder = placeholder;
    this.tiles = tiles ?? null;
  }

  /** Visual tokens of a picture, or of each of its tiles. */
  get tokensPerImage(): number {
    return this.modules.multi_modal_projector.tokenCount(this.modules.vision_tower.patches);
  }

  /**
   * pixel_values [B, 3, H, W] → features [B·T, D]; with tiles, of which B belong to one picture, and token_rows [F] as
   * `tiles` gives them → features [F, D].
   */
  visionGraph(): GraphDefinition {
    const { vision_tower } = this.modules;
    const { height, width } = vision_tower.image_size;
    const pixel_values = input("pixel_values", "float32", [symbol("B"), 3, height, width]);
    const features = this.visualTokens(vision_tower.forward(pixel_values));
    if (!this.tiles) return { name: "vision", inputs: { pixel_values }, outputs: { features } };
    const token_rows = input("token_rows", "int64", [symbol("F")]);
    return { name: "vision", inputs: { pixel_values, token_rows }, outputs: { features: ops.gather(features, token_rows, 0) } };
  }

  /** Patch features [B, N, C] → visual tokens [B·T, D]. Where pictures are cut into tiles, one row more: the newline. */
  visualTokens(features: Value): Value {
    const { multi_modal_projector, image_newline } = this.modules;
    const tokens = multi_modal_projector.forward(features); // [B, T, D]
    const [B, T, D] = shapeOf(tokens, "B T D");
    const flat = ops.reshape(tokens, [dimMul(B, T), D]);
    return this.tiles && image_newline ? ops.concat([flat, ops.reshape(image_newline, [1, D])], 0) : flat;
  }

  /** The decoder protocol of @waggle/language. */
  decoderGraph(): GraphDefinition {
    return { name: "decoder", ...decoderGraph(this.modules.language_model) };
  }

  /** What the prompt knows of its family; null for a template alone. */
  get family(): FamilyPrompt | null {
    return familyOf(this.prompt);
  }

  /** Binds the weights of a llava-hf checkpoint, in any of its spellings, or of the prompt's family; strict, and without reading them. */
  bind(checkpoint: StateDict): void {
    if (this.family) this.family.bind(this.modules, checkpoint);
    else bindWeights(this.modules, checkpoint, publishedKey);
  }

  /** Binds weights, and takes what is not given here, from a folder or a hub id; for training, which starts no model. */
  assemble(id: string, options: ComposedLoadOptions = {}): Promise<Assembly> {
    return assembleComposition(this, id, options);
  }

  /** The same, and starts the model. */
  async load(id: string, options: ComposedLoadOptions = {}): Promise<MultimodalModel> {
    return start(await this.assemble(id, options), options);
  }
}
