import { ShapeError, shapeOf, type Value } from "@waggle/graph";
import { ConfigError, type Module } from "@waggle/nn";
import type { ProjectorMaps } from "./projector-maps.ts";

export interface Grid {
  readonly rows: number;
  readonly columns: number;
}

/** Patch features to visual tokens: C is the width of a feature, D that of the language model's embeddings. */
export interface Projector<C extends number = number, D extends number = number> extends Module {
  readonly vision_hidden_size: C;
  readonly text_hidden_size: D;
  /** T: the tokens that the language model receives for N patches. The only source of that number. */
  tokenCount(patches: number): number;
  /** [B, N, C] → [B, T, D] */
  forward(features: Value): Value;
  /** What each token was made from, for pictures of it. A projector without such maps leaves it out. */
  explain?(features: Value): ProjectorMaps;
}

/** A projector whose widths (and the grid of patches) are filled in by the parts that it stands between. */
export type ProjectorFactory = <C extends number, D extends number>(
  vision_hidden_size: C,
  text_hidden_size: D,
  grid: Grid,
) => Projector<C, D>;

/** The batch and the patches of [B, N, C] features, when they have the width and the number that the projector was built for. */
export function checkFeatures(
  name: string,
  features: Value,
  width: number,
  patches: number | null = null,
): ReturnType<typeof shapeOf<"B N? C">> {
  const shape = shapeOf(features, "B N? C");
  if (shape[2] !== width) {
    throw new ShapeError(`${name}: expected features of width ${width}, got ${shape[2]}. Build it for the vision encoder's hidden_size.`);
  }
  if (patches !== null && shape[1] !== patches) {
    throw new ShapeError(
      `${name}: expected ${patches} patches, got ${shape[1]}. Build it for the vision encoder's grid, and drop the class token.`,
    );
  }
  return shape;
}

/** The side of a square grid of `tokens`. */
export function squareSide(name: string, field: string, tokens: number): number {
  const side = Math.sqrt(tokens);
  if (!Number.isInteger(side) || side < 1) {
    const near = Math.max(1, Math.round(side)) ** 2;
    throw new ConfigError(name, [
      { field, message: `expected a square number of tokens (the pool is √M × √M), got ${tokens}; ${near} is near.` },
    ]);
  }
  return side;
}

/** Checks `{ name: [value, least, most] }`, all of them in one error. */
export function wholeNumbers(where: string, fields: Readonly<Record<string, readonly [value: number, least: number, most: number]>>): void {
  const problems = Object.entries(fields).flatMap(([field, [value, least, most]]) =>
    Number.isInteger(value) && value >= least && value <= most
      ? []
      : [{ field, message: `expected a whole number from ${least} to ${most}, got ${value}.` }],
  );
  if (problems.length > 0) throw new ConfigError(where, problems);
}
