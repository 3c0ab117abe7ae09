/**
 * Pixel-shuffle projector: folds each s×s block of patches into one token, then maps it linearly into the language
 * model's embedding space (Idefics3 and SmolVLM call it "connector").
 *
 *     x             [B, N, C]         N = rows · columns, row by row, no class token
 *     pixelShuffle  [B, N/s², C·s²]   channel order: row in block, column in block, c
 *     proj          [B, N/s², D]
 *
 * state_dict  modality_projection.proj.weight [D, C·s²]
 * paper       SmolVLM, arXiv 2504.05299        reference  transformers `Idefics3Connector`
 */
import { ops, ShapeError, shapeOf, type Value } from "@waggle/graph";
import { checkOptions, Linear, Module, ModuleDict } from "@waggle/nn";
import { checkFeatures, type Grid, type Projector, type ProjectorFactory, wholeNumbers } from "./projector.ts";

export interface PixelShuffleOptions {
  /** s: the side of a block. */
  readonly scale_factor: number;
}

export function pixelShuffleProjector(options: PixelShuffleOptions): ProjectorFactory {
  checkOptions("pixelShuffleProjector", options, ["scale_factor"]);
  wholeNumbers("pixelShuffleProjector", { scale_factor: [options.scale_factor, 1, 64] });
  return (C, D, grid) => new PixelShuffleProjector(C, D, grid, options.scale_factor);
}

export class PixelShuffleProjector<C extends number, D extends number> extends Module implements Projector<C, D> {
  readonly vision_hidden_size: C;
  readonly text_hidden_size: D;
  readonly modality_projection: ModuleDict<{ proj: Linear }>;
  readonly #grid: Grid;
  readonly #s: number;

  constructor(vision_hidden_size: C, text_hidden_size: D, grid: Grid, scale_factor: number) {
    super();
    this.vision_hidden_size = vision_hidden_size;
    this.text_hidden_size = text_hidden_size;
    this.modality_projection = new ModuleDict({
      proj: new Linear(vision_hidden_size * scale_factor ** 2, text_hidden_size, { bias: false }),
    });
    this.#grid = grid;
    this.#s = scale_factor;
  }

  tokenCount(patches: number): number {
    return patches / this.#s ** 2;
  }

  forward(features: Value): Value {
    checkFeatures("PixelShuffleProjector", features, this.vision_hidden_size, this.#grid.rows * this.#grid.columns);
    return this.modality_projection.proj.forward(pixelShuffle(features, this.#grid, this.#s));
  }
}

/** Space to depth: [B, rows·columns, C] → [B, rows·columns/s², C·s²]. */
export function pixelShuffle(x: Value, { rows, columns }: Grid, s: number): Value {
  const [B, , C] = shapeOf(x, "B N C");
  if (rows % s !== 0 || columns % s !== 0) {
    throw new ShapeError(
      `pixelShuffle: expected a grid that divides into ${s}×${s} blocks, got ${rows}×${columns} patches. ` +
        `Choose image_size / patch_size as a multiple of ${s}.`,
    );
  }
  const blocks = ops.transpose(ops.reshape(x, [B, rows / s, s, columns / s, s, C]), [0, 1, 3, 2, 4, 5]);
  return ops.reshape(blocks, [B, (rows / s) * (columns / s), s * s * C]);
}
