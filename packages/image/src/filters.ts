/**
 * Pillow's resampling filters and the tables of weights that they give, to the last bit of Pillow's Resample.c: weights
 * are computed in float64, normalised to sum 1, and rounded to 22 fractional bits. When a picture shrinks, the filter is
 * stretched by the scale (antialiasing).
 */
import type { Size, Taps } from "./pass.ts";

/** `resample` of preprocessor_config.json is the index into this list. */
export const filterNames = ["nearest", "lanczos", "bilinear", "bicubic", "box", "hamming"] as const;
export type FilterName = (typeof filterNames)[number];

const FRACTION_BITS = 22;

interface Filter {
  readonly support: number;
  readonly weight: (x: number) => number;
}

const sinc = (x: number): number => (x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI));

const filters: { readonly [Name in Exclude<FilterName, "nearest">]: Filter } = {
  box: { support: 0.5, weight: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0) },
  bilinear: { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
  hamming: {
    support: 1,
    weight: (x) => (Math.abs(x) >= 1 ? 0 : sinc(x) * (Math.fround(0.54) + Math.fround(0.46) * Math.cos(x * Math.PI))),
  },
  bicubic: { support: 2, weight: (x) => cubic(Math.abs(x)) },
  lanczos: { support: 3, weight: (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0) },
};

/**
 * Which pass comes first shows in the bytes, since the first is rounded. Since Pillow 13 it is the vertical one if the height
 * loses more than twice as many pixels as the width (python-pillow/Pillow#9549; the factor is measured, see the README).
 */
export function isVerticalFirst(from: Size, to: Size): boolean {
  return to.height < from.height && from.height - to.height > 2 * (from.width - to.width);
}

/** Keys' cubic with a = -0.5, for x ≥ 0. */
function cubic(x: number): number {
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * -0.5;
  return 0;
}

/** The weights for output positions `first` … `first + count - 1` of an axis that goes from `from` to `to` values. */
export function tapsOf(filter: FilterName, from: number, to: number, first: number, count: number): Taps {
  if (filter === "nearest") return nearest(from, to, first, count);
  const { support, weight } = filters[filter];
  const scale = from / to;
  const stretch = Math.max(scale, 1);
  const reach = support * stretch;
  const taps = Math.ceil(reach) * 2 + 1;
  const spans = new Int32Array(2 * count);
  const weights = new Int32Array(taps * count);
  const row = new Float64Array(taps);
  for (let i = 0; i < count; i++) {
    const centre = (first + i + 0.5) * scale;
    const start = Math.max(0, Math.trunc(centre - reach + 0.5));
    const length = Math.min(from, Math.trunc(centre + reach + 0.5)) - start;
    let sum = 0;
    for (let x = 0; x < length; x++) sum += row[x] = weight((x + start - centre + 0.5) * (1 / stretch));
    for (let x = 0; x < length; x++) weights[i * taps + x] = fixed(sum === 0 ? (row[x] ?? 0) : (row[x] ?? 0) / sum);
    spans.set([start, length], 2 * i);
  }
  return { spans, weights, taps };
}

/** Half away from zero, as C's cast after adding ±0.5. */
function fixed(weight: number): number {
  return Math.trunc(weight * (1 << FRACTION_BITS) + (weight < 0 ? -0.5 : 0.5));
}

/** One tap. Pillow adds the scale up from position to position, so its rounding errors add up too. */
function nearest(from: number, to: number, first: number, count: number): Taps {
  const scale = from / to;
  const spans = new Int32Array(2 * count);
  let at = scale * 0.5;
  for (let i = 0; i < first; i++) at += scale;
  for (let i = 0; i < count; i++, at += scale) spans.set([Math.min(from - 1, Math.trunc(at)), 1], 2 * i);
  return { spans, weights: new Int32Array(count).fill(1 << FRACTION_BITS), taps: 1 };
}
