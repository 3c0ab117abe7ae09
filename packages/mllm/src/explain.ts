/**
 * What a projector looked at: for every visual token of a picture, its attention over the patches, its sampling points,
 * or its bins. The maps come from the projector's own `explain`, run over the features of the vision encoder.
 */

import { type GraphDefinition, input, symbol, type Value } from "@waggle/graph";
import { type DrawOptions, drawMaps, type ImageProcessor, type Picture, type PictureMap, picture } from "@waggle/image";
import type { Projector, ProjectorMaps } from "@waggle/projectors";
import type { Session } from "@waggle/runtime";
import type { Grid, VisionEncoder } from "@waggle/vision";
import { Tensor } from "onnxruntime-common";

export interface Explanation {
  readonly kind: ProjectorMaps["kind"];
  /** The picture as the vision encoder saw it: what the maps lie over. */
  readonly seen: Picture;
  /** One map per visual token, in the order in which the language model gets them; end tokens have none. */
  readonly tokens: readonly PictureMap[];
  /** All maps on one sheet, or those of `tokens`, as PNG. */
  draw(options?: DrawOptions & { readonly tokens?: readonly number[] }): Promise<Uint8Array>;
}

/** How a model's projector can be asked. */
export interface ExplainGraph {
  readonly kind: ProjectorMaps["kind"];
  readonly grid: Grid;
  readonly graph: GraphDefinition;
}

/** pixel_values [B, 3, H, W] → the projector's maps; null for a projector that has none. */
export function explainGraph(vision: VisionEncoder, projector: Projector): ExplainGraph | null {
  if (projector.explain === undefined) return null;
  const { height, width } = vision.image_size;
  const pixel_values = input("pixel_values", "float32", [symbol("B"), 3, height, width]);
  const { kind, ...outputs } = projector.explain(vision.forward(pixel_values));
  return {
    kind,
    grid: vision.grid,
    graph: { name: "explain", inputs: { pixel_values }, outputs: outputs as Readonly<Record<string, Value>> },
  };
}

/** Runs the graph on one picture; of a picture that is cut into tiles, on the whole of it. */
export async function explainPicture(
  session: Session,
  how: ExplainGraph,
  processor: ImageProcessor,
  subject: Picture,
  signal?: AbortSignal,
): Promise<Explanation> {
  const { pixel_values, shape } = await processor.process([subject], signal ? { signal } : {});
  const [, channels, height, width] = shape;
  const first = pixel_values.subarray(0, channels * height * width);
  const maps = await session.run({ pixel_values: new Tensor("float32", first, [1, channels, height, width]) }, signal ? { signal } : {});
  const seen = picture(width, height, bytesOf(first, processor, height * width));
  const tokens = how.kind === "points" ? pointMaps(maps.locations, maps.weights) : cellMaps(maps.weights, how.grid);
  return {
    kind: how.kind,
    seen,
    tokens,
    draw: ({ tokens: chosen, ...options } = {}) =>
      drawMaps(seen, chosen === undefined ? tokens : chosen.flatMap((index) => tokens[index] ?? []), options),
  };
}

/** [B, T, N] or [T, N] → one map per token. A column in front of the patches is the class token's and not drawn. */
function cellMaps(weights: Tensor | undefined, { rows, columns }: Grid): PictureMap[] {
  const [T = 0, N = 0] = weights?.dims.slice(-2) ?? [];
  const data = weights?.data as Float32Array;
  const skip = N - rows * columns;
  return Array.from({ length: T }, (_, t) => ({ kind: "cells", rows, columns, weights: data.slice(t * N + skip, (t + 1) * N) }));
}

/** locations [B, T, K, 2] and weights [B, T, K] → one map per token */
function pointMaps(locations: Tensor | undefined, weights: Tensor | undefined): PictureMap[] {
  const [, T = 0, K = 0] = weights?.dims ?? [];
  const [at, shares] = [locations?.data as Float32Array, weights?.data as Float32Array];
  return Array.from({ length: T }, (_, t) => ({
    kind: "points",
    places: Array.from({ length: K }, (_, k) => {
      const i = t * K + k;
      return { x: at[2 * i] ?? 0, y: at[2 * i + 1] ?? 0, weight: shares[i] ?? 0 };
    }),
  }));
}

/** Planes of pixel values back to RGB bytes. */
function bytesOf(planes: Float32Array, { settings }: ImageProcessor, size: number): Uint8Array {
  const { normalise, rescale } = settings;
  return Uint8Array.from({ length: 3 * size }, (_, i) => {
    const [pixel, channel] = [Math.floor(i / 3), i % 3];
    const value = (planes[channel * size + pixel] ?? 0) * (normalise?.std[channel] ?? 1) + (normalise?.mean[channel] ?? 0);
    return Math.min(255, Math.max(0, Math.round(value / (rescale ?? 1))));
  });
}
