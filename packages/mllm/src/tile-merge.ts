/**
 * LLaVA-1.6: a picture is looked at as a whole and in tiles, and the tokens of all of them become one sequence.
 *
 *     flat            all tokens, the whole picture's first
 *     spatial         the whole picture's, then those of the canvas row by row, across the tiles
 *     spatial_unpad   the same without the rows and columns that show padding only, and `image_newline` behind every row
 *
 * reference  haotian-liu/LLaVA `prepare_inputs_labels_for_multimodal`; transformers `LlavaNextModel.pack_image_features`
 */
import { isDeepStrictEqual } from "node:util";
import { type AnyresGrid, type AnyresLayout, anyresLayout, type Size } from "@waggle/image";
import { ConfigError } from "@waggle/nn";

export const mergeTypes = ["flat", "spatial", "spatial_unpad"] as const;
export type MergeType = (typeof mergeTypes)[number];

export interface TileMerge {
  /** The canvases, of which the image processor must choose too. */
  readonly grid: AnyresGrid;
  /** Does the model have an `image_newline`? */
  readonly newline: boolean;
  /** A picture's visual tokens: rows of [tiles · T] tokens, the whole picture's first; −1 is the newline. */
  tokenRows(picture: Size): readonly number[];
}

/** `side`: patches along one edge of a tile. Every patch must have its token. */
export function tileMerge(grid: AnyresGrid, side: number, type: MergeType): TileMerge {
  return {
    grid,
    newline: type === "spatial_unpad",
    tokenRows(picture) {
      const layout = anyresLayout(picture, grid, side);
      const whole = Array.from({ length: side * side }, (_, i) => i);
      if (type === "flat") {
        const { columns, rows } = layout.tiles;
        return Array.from({ length: (1 + columns * rows) * side * side }, (_, i) => i);
      }
      const all = { top: 0, left: 0, rows: layout.tiles.rows * side, columns: layout.tiles.columns * side };
      const lines = canvasRows(layout, side, type === "spatial" ? all : layout.kept);
      return [...whole, ...lines.flatMap((line) => (type === "spatial" ? line : [...line, -1]))];
    },
  };
}

/** The tokens of a block of the canvas, row by row. */
function canvasRows({ tiles }: AnyresLayout, side: number, { top, left, rows, columns }: AnyresLayout["kept"]): number[][] {
  const tokenAt = (y: number, x: number): number => {
    const tile = 1 + Math.floor(y / side) * tiles.columns + Math.floor(x / side); // 0 is the whole picture
    return tile * side * side + (y % side) * side + (x % side);
  };
  return Array.from({ length: rows }, (_, y) => Array.from({ length: columns }, (_, x) => tokenAt(top + y, left + x)));
}

/** Processor and model must cut the same pictures into the same tiles. */
export function checkSameTiles(ofModel: AnyresGrid | null, ofProcessor: AnyresGrid | null): void {
  if (isDeepStrictEqual(ofModel, ofProcessor)) return;
  const shown = (grid: AnyresGrid | null) => (grid === null ? "one view per picture" : JSON.stringify(grid));
  const message = `makes ${shown(ofProcessor)}, but the model is composed for ${shown(ofModel)}.`;
  throw new ConfigError("image processor", [{ field: "image_grid_pinpoints", message }]);
}

/** What keeps tiles from being merged: their tokens must stand for a square of patches. */
export function checkTiles(where: string, { rows, columns }: { rows: number; columns: number }, patches: number, tokens: number): void {
  if (rows === columns && patches === rows * columns && tokens === patches) return;
  const message = `needs a square of patches with one token each, without the class token; got ${rows}×${columns} patches, ${patches} features and ${tokens} tokens.`;
  throw new ConfigError(where, [{ field: "tiles", message }]);
}
