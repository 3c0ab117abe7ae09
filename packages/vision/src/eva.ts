/**
 * EVA-CLIP's vision tower and the norm behind it: what BLIP-2 and MiniGPT-4 see with.
 *
 *     pixel_values    [B, 3, H, W]
 *     patch_embed     [B, n, C]       n = ⌊H/p⌋·⌊W/p⌋ patches row by row
 *     cls_token       [B, 1 + n, C]   in front; then + pos_embed
 *     block           x += proj(attention(qkv(norm1 x)));  x += fc2(act(fc1(norm2 x)))
 *                     the bias of qkv is [q_bias, 0, v_bias]
 *     forward         [B, N, C]       ln_vision(x); N = 1 + n, or n without the class token
 *
 * state_dict  visual_encoder.{cls_token [1, 1, C], pos_embed [1, 1 + n, C], patch_embed.proj [C, 3, p, p]} ·
 *             visual_encoder.blocks.N.{norm1, norm2, attn.qkv.weight [3C, C], attn.q_bias, attn.v_bias, attn.proj, mlp.fc1, mlp.fc2} · ln_vision
 * paper       arXiv 2211.07636       reference  MiniGPT-4 `eva_vit.py`, transformers `Blip2VisionModel`
 */
import { constant, ops, shapeOf, type Value } from "@waggle/graph";
import {
  activation,
  Conv2d,
  type Init,
  LayerNorm,
  Linear,
  Module,
  ModuleDict,
  ModuleList,
  Parameter,
  truncatedNormal,
  uniform,
  zeros,
} from "@waggle/nn";
import { type EvaOptions, type EvaSelection, type EvaVision, type EvaVisionConfig, parseEvaVisionConfig, selectEva } from "./eva-config.ts";
import { batchOfPictures, type PictureSize, patchGrid, pictureSize } from "./picture-size.ts";
import { interpolatePositions } from "./position-table.ts";
import type { Grid, VisionEncoder } from "./vision-encoder.ts";

/** timm's: cut at ±2, which is a hundred deviations. */
const init = truncatedNormal(0.02, { bound: 100 });

/** The literal type of the features' width where there is one; a config that leaves it out means ViT-g's. */
export type EvaWidth<C> = C extends { readonly hidden_size: infer W extends number } ? W : number;

/** An EVA vision encoder, without weights: load or initialise them. */
export function eva<const C extends EvaVisionConfig | object>(config: C, options: EvaOptions = {}): EvaVisionEncoder<EvaWidth<C>> {
  const parsed = parseEvaVisionConfig(config);
  return new EvaVisionEncoder(parsed, selectEva(parsed, options));
}

export class EvaVisionEncoder<C extends number = number> extends Module implements VisionEncoder<C> {
  readonly config: EvaVision;
  readonly #selection: EvaSelection;
  readonly visual_encoder: EvaVisionTransformer;
  readonly ln_vision: LayerNorm;

  constructor(config: EvaVision, selection: EvaSelection) {
    super();
    this.config = config;
    this.#selection = selection;
    this.visual_encoder = new EvaVisionTransformer(config, selection);
    this.ln_vision = new LayerNorm(config.hidden_size, { eps: config.ln_vision_eps });
  }

  get hidden_size(): C {
    return this.config.hidden_size as C;
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
    const features = this.ln_vision.forward(this.visual_encoder.forward(pixel_values));
    return this.#selection.classToken === "keep" ? features : ops.slice(features, { axis: 1, start: 1 });
  }

  override cureFor(key: string): string | undefined {
    const { image_size, patch_size, num_hidden_layers, qkv_bias } = this.config;
    if (key === "visual_encoder.pos_embed") {
      return `image_size ${image_size} and patch_size ${patch_size} must be those the file was trained with; another size of pictures is the option image_size.`;
    }
    if (/\.attn\.(q_bias|v_bias|qkv\.bias)$/.test(key)) return `Build with qkv_bias: ${!qkv_bias}.`;
    return key.startsWith("visual_encoder.blocks.")
      ? `Compare the number of layers (${num_hidden_layers}) and the sizes in the config with the file.`
      : undefined;
  }
}

/** Everything before `ln_vision`; the keys of eva_vit_g.pth. */
export class EvaVisionTransformer extends Module {
  readonly #trained: Grid;
  readonly #selection: EvaSelection;
  readonly cls_token: Parameter;
  readonly pos_embed: Parameter;
  readonly patch_embed: ModuleDict<{ proj: Conv2d }>;
  readonly blocks: ModuleList<EvaBlock>;

  constructor(config: EvaVision, selection: EvaSelection) {
    super();
    const { hidden_size: C, patch_size, image_size, num_hidden_layers } = config;
    this.#trained = patchGrid(pictureSize(image_size), patch_size);
    this.#selection = selection;
    this.cls_token = new Parameter([1, 1, C], { init });
    this.pos_embed = new Parameter([1, 1 + this.#trained.rows * this.#trained.columns, C], { init });
    this.patch_embed = new ModuleDict({ proj: patchConvolution(C, patch_size) });
    this.blocks = new ModuleList(Array.from({ length: num_hidden_layers }, (_, index) => new EvaBlock(config, index)));
  }

  /** [B, 3, H, W] → [B, 1 + n, C], not normalised */
  forward(pixel_values: Value): Value {
    let x = this.embed(pixel_values);
    for (const block of this.blocks) x = this.blocks.block(x, (input) => block.forward(input));
    return x;
  }

  /** Class token and patches with their positions: what enters the first block. */
  embed(pixel_values: Value): Value {
    const { grid, image_size } = this.#selection;
    const B = batchOfPictures("EvaVisionEncoder", pixel_values, image_size);
    const [, rows, C] = shapeOf(this.pos_embed, "one rows C");
    const patches = ops.transpose(ops.reshape(this.patch_embed.proj.forward(pixel_values), [B, C, grid.rows * grid.columns]), [0, 2, 1]);
    const table = interpolatePositions(ops.reshape(this.pos_embed, [rows, C]), this.#trained, grid);
    return ops.add(ops.concat([ops.expand(this.cls_token, [B, 1, C]), patches], 1), table);
  }
}

/** As torch makes it: the original's initialiser passes over convolutions. */
function patchConvolution(C: number, patch_size: number): Conv2d {
  const bound = (3 * patch_size * patch_size) ** -0.5;
  const uniformly = uniform(-bound, bound);
  const bias = new Parameter([C], { init: uniformly });
  return new Conv2d(3, C, { kernel_size: patch_size, stride: patch_size, init: uniformly, bias });
}

export class EvaBlock extends Module {
  readonly #act: (x: Value) => Value;
  readonly norm1: LayerNorm;
  readonly attn: EvaAttention;
  readonly norm2: LayerNorm;
  readonly mlp: ModuleDict<{ fc1: Linear; fc2: Linear }>;

  constructor(config: EvaVision, index: number) {
    super();
    const { hidden_size: C, intermediate_size, hidden_act, layer_norm_eps: eps } = config;
    const out = truncatedNormal(0.02 / Math.sqrt(2 * (index + 1)), { bound: 100 }); // what is added to x, less with every block
    this.#act = activation(hidden_act);
    this.norm1 = new LayerNorm(C, { eps });
    this.attn = new EvaAttention(config, out);
    this.norm2 = new LayerNorm(C, { eps });
    this.mlp = new ModuleDict({ fc1: new Linear(C, intermediate_size, { init }), fc2: new Linear(intermediate_size, C, { init: out }) });
  }

  /** [B, N, C] → [B, N, C] */
  forward(x: Value): Value {
    const attended = ops.add(x, this.attn.forward(this.norm1.forward(x)));
    return ops.add(attended, this.mlp.fc2.forward(this.#act(this.mlp.fc1.forward(this.norm2.forward(attended)))));
  }
}

class EvaAttention extends Module {
  readonly #heads: number;
  readonly qkv: Linear;
  readonly q_bias: Parameter | null;
  readonly v_bias: Parameter | null;
  readonly proj: Linear;

  constructor({ hidden_size: C, num_attention_heads, qkv_bias }: EvaVision, out: Init) {
    super();
    this.#heads = num_attention_heads;
    this.qkv = new Linear(C, 3 * C, { bias: false, init });
    this.q_bias = qkv_bias ? new Parameter([C], { init: zeros }) : null;
    this.v_bias = qkv_bias ? new Parameter([C], { init: zeros }) : null;
    this.proj = new Linear(C, C, { init: out });
  }

  forward(x: Value): Value {
    const [B, N, C] = shapeOf(x, "B N C");
    const [mapped, bias] = [this.qkv.forward(x), this.#bias()]; // a LoRA pair has its own forward
    const split = ops.reshape(bias === null ? mapped : ops.add(mapped, bias), [B, N, 3, this.#heads, C / this.#heads]);
    const [q, k, v] = ops.split(ops.transpose(split, [2, 0, 3, 1, 4]), [1, 1, 1], 0).map((part) => ops.squeeze(part, 0)); // [B, heads, N, C/heads]
    const attended = ops.attention(q as Value, k as Value, v as Value);
    return this.proj.forward(ops.reshape(ops.transpose(attended, [0, 2, 1, 3]), [B, N, C]));
  }

  #bias(): Value | null {
    if (this.q_bias === null || this.v_bias === null) return null;
    return ops.concat([this.q_bias, constant(new Float32Array(this.proj.in_features)), this.v_bias], 0);
  }
}
