/** The sizes that Hugging Face's `size` and `crop_size` stand for, with the rounding of the Pillow-based processors. */
import type { Box, Size } from "./pass.ts";

export type ResizeRule =
  | Size
  | { readonly shortest_edge: number; readonly longest_edge?: number }
  | { readonly max_height: number; readonly max_width: number };

export function resizedSize(rule: ResizeRule, { width, height }: Size): Size {
  if ("shortest_edge" in rule) {
    return rule.longest_edge === undefined
      ? byShortestEdge(rule.shortest_edge, { width, height })
      : betweenEdges(rule.shortest_edge, rule.longest_edge, { width, height });
  }
  if ("max_height" in rule) {
    const scale = Math.min(rule.max_height / height, rule.max_width / width);
    return { width: atLeastOne(width * scale), height: atLeastOne(height * scale) };
  }
  return { width: rule.width, height: rule.height };
}

/** Shorter edge to `edge`, longer edge to ⌊edge · long / short⌋. */
function byShortestEdge(edge: number, { width, height }: Size): Size {
  return width <= height
    ? { width: edge, height: Math.trunc((edge * height) / width) }
    : { width: Math.trunc((edge * width) / height), height: edge };
}

/** The same, unless the longer edge would pass `longest`: then that one is met. */
function betweenEdges(shortest: number, longest: number, { width, height }: Size): Size {
  const [short, long] = width < height ? [width, height] : [height, width];
  const tooLong = (long / short) * shortest > longest;
  const exact = tooLong ? (longest * short) / long : shortest;
  const edge = tooLong ? roundHalfEven(exact) : shortest;
  if (short === edge) return { width, height };
  return width < height
    ? { width: edge, height: Math.trunc((exact * height) / width) }
    : { width: Math.trunc((exact * width) / height), height: edge };
}

/** A window of `crop` in the middle. Smaller pictures lie in it one pixel lower and further right than its middle, if the rest is odd. */
export function centreCrop(crop: Size, { width, height }: Size): Box {
  return { ...crop, left: Math.floor((width - crop.width) / 2), top: Math.floor((height - crop.height) / 2) };
}

function roundHalfEven(x: number): number {
  const floor = Math.floor(x);
  return x - floor === 0.5 ? floor + (floor % 2) : Math.round(x);
}

function atLeastOne(x: number): number {
  return Math.max(1, Math.trunc(x));
}
