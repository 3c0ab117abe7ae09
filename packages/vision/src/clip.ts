/**
 * CLIP's vision tower up to the layer whose features are asked for. Layers behind it are neither built nor run.
 *
 *     pixel_values  [B, 3, H, W]
 *     embeddings    [B, 1 + n, C]   class token first, then n = ⌊H/p⌋·⌊W/p⌋ patches row by row; what a patch does not fill is cut off
 *     layer 0       pre_layrnorm(embeddings)                   (the published spelling)
 *     layer k       x += attention(LN1 x);  x += fc2(act(fc1(LN2 x)))
 *     forward       [B, N, C]   N = n, or 1 + n with the class token; several layers stand side by side: C·layers
 *
 * state_dict  vision_model.embeddings.{class_embedding [C], patch_embedding.weight [C, 3, p, p], position_embedding.weight [1 + n, C]} ·
 *             vision_model.pre_layrnorm · vision_model.encoder.layers.N.{layer_norm1, layer_norm2} ·
 *             vision_model.encoder.layers.N.self_attn.{q_proj, k_proj, v_proj, out_proj} · vision_model.encoder.layers.N.mlp.{fc1, fc2}
 * paper       arXiv 2103.00020       reference  transformers `CLIPVisionModel`, `hidden_states[layer]`
 */
import { ops, shapeOf, type Value } from "@waggle/graph";
import { activation, Conv2d, Embedding, type Init, LayerNorm, Linear, Module, ModuleDict, ModuleList, normal, Parameter } from "@waggle/nn";
import { type ClipVision, type ClipVisionConfig, parseClipVisionConfig } from "./clip-config.ts";
import { type ClipOptions, type Selection, selectFeatures } from "./clip-options.ts";
import { batchOfPictures, type PictureSize } from "./picture-size.ts";
import { interpolatePositions } from "./position-table.ts";
import type { Grid, VisionEncoder } from "./vision-encoder.ts";

/** The literal type of the features' width where there is one: several layers side by side have none. */
export type FeatureWidth<C, O> = O extends { readonly layer: readonly number[] }
  ? number
  : C extends { readonly hidden_size: infer W extends number }
    ? W
    : number;

/** A CLIP vision encoder, without weights: load or initialise them. Several layers make features as many times as wide. */
export function clip<const C extends ClipVisionConfig | object, const O extends ClipOptions>(
  config: C,
  options?: O,
): ClipVisionEncoder<FeatureWidth<C, O>> {
  const parsed = parseClipVisionConfig(config);
  return new ClipVisionEncoder(parsed, selectFeatures(parsed, options ?? {}));
}

export class ClipVisionEncoder<C extends number = number> extends Module implements VisionEncoder<C> {
  readonly config: ClipVision;
  readonly #selection: Selection;
  readonly vision_model: ClipVisionTransformer;

  constructor(config: ClipVision, selection: Selection) {
    super();
    this.config = config;
    this.#selection = selection;
    this.vision_model = new ClipVisionTransformer(config, selection);
  }

  get hidden_size(): C {
    return (this.config.hidden_size * this.#selection.layers.length) as C;
  }
  get grid(): Grid {
    return this.#selection.grid;
  }
  get image_size(): PictureSize {
    return this.#selection.image_size;
  }
  get patches(): number {
    const { grid, classToken } = this.#selection;
    return grid.rows * grid.columns + (classToken === "keep" ? 1 : 0);
  }

  forward(pixel_values: Value): Value {
    const states = this.vision_model.forward(pixel_values);
    const selected = this.#selection.layers.map((layer) => {
      const state = states[layer];
      if (state === undefined) throw new RangeError(`ClipVisionEncoder: layer ${layer} was not built.`);
      return this.#selection.classToken === "keep" ? state : ops.slice(state, { axis: 1, start: 1 });
    });
    const [first] = selected;
    return first !== undefined && selected.length === 1 ? first : ops.concat(selected, 2);
  }

  /** Whole CLIP files hold a text tower; whole towers hold layers that nobody asked for. */
  override get ignoredKeys(): readonly RegExp[] {
    const { num_hidden_layers } = this.config;
    const built = this.vision_model.encoder.layers.length;
    const unused = Array.from({ length: num_hidden_layers - built }, (_, index) => built + index).join("|");
    return [
      /^text_model\./,
      /^(visual_projection|text_projection)\.weight$/,
      /^logit_scale$/,
      /^vision_model\.post_layernorm\.(weight|bias)$/,
      /^vision_model\.embeddings\.position_ids$/,
      ...(unused === "" ? [] : [new RegExp(`^vision_model\\.encoder\\.layers\\.(${unused})\\.`)]),
    ];
  }

  override cureFor(key: string): string | undefined {
    const { image_size, patch_size, num_hidden_layers } = this.config;
    if (key === "vision_model.embeddings.position_embedding.weight") {
      return `image_size ${image_size} and patch_size ${patch_size} must be those the file was trained with; another size of pictures is the option image_size.`;
    }
    return /^vision_model\.encoder\.layers\.\d+\./.test(key)
      ? `Compare num_hidden_layers (${num_hidden_layers}) and the sizes in vision_config with the file.`
      : undefined;
  }
}

export class ClipVisionTransformer extends Module {
  readonly embeddings: ClipVisionEmbeddings;
  readonly pre_layrnorm: LayerNorm;
  readonly encoder: ModuleDict<{ layers: ModuleList<ClipEncoderLayer> }>;

  constructor(config: ClipVision, { grid, layers, image_size }: Selection) {
    super();
    this.embeddings = new ClipVisionEmbeddings(config, grid, image_size);
    this.pre_layrnorm = new LayerNorm(config.hidden_size, { eps: config.layer_norm_eps });
    const built = Array.from({ length: Math.max(...layers) }, () => new ClipEncoderLayer(config));
    this.encoder = new ModuleDict({ layers: new ModuleList(built) });
  }

  /** [B, 3, H, W] → hidden states, each [B, 1 + n, C]: the embeddings and what every layer makes of them. */
  forward(pixel_values: Value): readonly Value[] {
    const states = [this.pre_layrnorm.forward(this.embeddings.forward(pixel_values))];
    const { layers } = this.encoder;
    for (const layer of layers) states.push(layers.block(states.at(-1) as Value, (x) => layer.forward(x)));
    return states;
  }
}

class ClipVisionEmbeddings extends Module {
  readonly #trained: Grid;
  readonly #grid: Grid;
  readonly #image_size: PictureSize;
  readonly class_embedding: Parameter;
  readonly patch_embedding: Conv2d;
  readonly position_embedding: Embedding;

  constructor(config: ClipVision, grid: Grid, size: PictureSize) {
    super();
    const { hidden_size, num_channels, image_size, patch_size, initializer_range, initializer_factor } = config;
    const init = normal(initializer_range * initializer_factor);
    const side = Math.floor(image_size / patch_size);
    this.#trained = { rows: side, columns: side };
    this.#grid = grid;
    this.#image_size = size;
    this.class_embedding = new Parameter([hidden_size], { init: normal(hidden_size ** -0.5 * initializer_factor) });
    this.patch_embedding = new Conv2d(num_channels, hidden_size, { kernel_size: patch_size, stride: patch_size, bias: false, init });
    this.position_embedding = new Embedding(1 + side * side, hidden_size, { init });
  }

  forward(pixel_values: Value): Value {
    const B = batchOfPictures("ClipVisionEncoder", pixel_values, this.#image_size);
    const { rows, columns } = this.#grid;
    const [C] = shapeOf(this.class_embedding, "C");
    const patches = ops.transpose(ops.reshape(this.patch_embedding.forward(pixel_values), [B, C, rows * columns]), [0, 2, 1]);
    const classToken = ops.expand(ops.reshape(this.class_embedding, [1, 1, C]), [B, 1, C]);
    return ops.add(ops.concat([classToken, patches], 1), interpolatePositions(this.position_embedding.weight, this.#trained, this.#grid));
  }
}

/** Smaller by √(2·layers) where a layer's input comes in, so that the sum over all layers does not grow with their number. */
function newWeights({ hidden_size, num_hidden_layers, initializer_factor }: ClipVision): Record<"into" | "out" | "fc1", Init> {
  const std = initializer_factor / Math.sqrt(hidden_size);
  return { into: normal(std / Math.sqrt(2 * num_hidden_layers)), out: normal(std), fc1: normal(std / Math.SQRT2) };
}

class ClipEncoderLayer extends Module {
  readonly #act: (x: Value) => Value;
  readonly layer_norm1: LayerNorm;
  readonly self_attn: ClipAttention;
  readonly layer_norm2: LayerNorm;
  readonly mlp: ModuleDict<{ fc1: Linear; fc2: Linear }>;

  constructor(config: ClipVision) {
    super();
    const { hidden_size, intermediate_size, hidden_act, layer_norm_eps: eps } = config;
    const init = newWeights(config);
    this.#act = activation(hidden_act);
    this.layer_norm1 = new LayerNorm(hidden_size, { eps });
    this.self_attn = new ClipAttention(config);
    this.layer_norm2 = new LayerNorm(hidden_size, { eps });
    this.mlp = new ModuleDict({
      fc1: new Linear(hidden_size, intermediate_size, { init: init.fc1 }),
      fc2: new Linear(intermediate_size, hidden_size, { init: init.into }),
    });
  }

  /** [B, N, C] → [B, N, C] */
  forward(x: Value): Value {
    const attended = ops.add(x, this.self_attn.forward(this.layer_norm1.forward(x)));
    const { fc1, fc2 } = this.mlp;
    return ops.add(attended, fc2.forward(this.#act(fc1.forward(this.layer_norm2.forward(attended)))));
  }
}

class ClipAttention extends Module {
  readonly #heads: number;
  readonly q_proj: Linear;
  readonly k_proj: Linear;
  readonly v_proj: Linear;
  readonly out_proj: Linear;

  constructor(config: ClipVision) {
    super();
    const { hidden_size: width, num_attention_heads } = config;
    const { into, out } = newWeights(config);
    this.#heads = num_attention_heads;
    this.q_proj = new Linear(width, width, { init: into });
    this.k_proj = new Linear(width, width, { init: into });
    this.v_proj = new Linear(width, width, { init: into });
    this.out_proj = new Linear(width, width, { init: out });
  }

  forward(x: Value): Value {
    const [B, N, C] = shapeOf(x, "B N C");
    const heads = (projection: Linear): Value =>
      ops.transpose(ops.reshape(projection.forward(x), [B, N, this.#heads, C / this.#heads]), [0, 2, 1, 3]);
    const attended = ops.attention(heads(this.q_proj), heads(this.k_proj), heads(this.v_proj)); // scale 1 / √(C / heads)
    return this.out_proj.forward(ops.reshape(ops.transpose(attended, [0, 2, 1, 3]), [B, N, C]));
  }
}
