/** Matrices [out, in] that act along one side of a picture: what pooling and resizing do to it. */
import type { DataType } from "../data-type.ts";
import { formatShape } from "../dim.ts";
import type { PictureAttributes } from "../ops/pictures.ts";
import { ShapeError } from "../shape-error.ts";
import { constant, type Value } from "../value.ts";

/** Height and width of [B, C, H, W]. @throws ShapeError when one is open: a matrix along it has a known size. */
export function sidesOf(op: string, { shape }: Value): readonly [number, number] {
  const [H, W] = shape.slice(2);
  if (typeof H === "number" && typeof W === "number") return [H, W];
  throw new ShapeError(`grad: the gradient of ${op} needs the picture's sides when the graph is written, got ${formatShape(shape)}.`);
}

/** Means of windows, the padding counted: row i holds 1/kernel in the columns i·stride − before and on. */
export function windowMatrix(
  [out, size]: readonly [number, number],
  kernel: number,
  stride: number,
  before: number,
  dtype: DataType,
): Value {
  return matrix(out, size, dtype, (i) => Array.from({ length: kernel }, (_, k) => [i * stride - before + k, 1 / kernel]));
}

type Interpolation = Omit<PictureAttributes["Resize"], "size">;

/** Interpolation from `size` to `out`; places beyond the edge are the edge's. */
export function resizeMatrix(size: number, out: number, interpolation: Interpolation, dtype: DataType): Value {
  const { mode, cubicCoefficient } = interpolation;
  const inside = (place: number): number => Math.min(Math.max(place, 0), size - 1);
  return matrix(out, size, dtype, (i) => {
    const exact = source(i, size, out, interpolation);
    const place = mode === "linear" ? inside(exact) : exact;
    const left = Math.floor(place);
    const taps = mode === "nearest" ? [1] : mode === "linear" ? linear(place - left) : cubic(place - left, cubicCoefficient);
    const first = mode === "cubic" ? left - 1 : left;
    return taps.map((weight, k) => [inside(first + k), weight]);
  });
}

/** Where in the source a place of the result lies. ONNX Runtime divides by the scale in single precision, and "nearest" rounds it down. */
function source(i: number, size: number, out: number, { mode, alignCorners }: Interpolation): number {
  if (alignCorners) return out === 1 ? 0 : (i * (size - 1)) / (out - 1);
  return mode === "nearest" ? Math.fround(i / Math.fround(out / size)) : ((i + 0.5) * size) / out - 0.5;
}

function linear(t: number): readonly number[] {
  return [1 - t, t];
}

/** The weights of four neighbours by Keys' cubic, IEEE TASSP 29 (1981). */
function cubic(t: number, a: number): readonly number[] {
  const near = (d: number): number => ((a + 2) * d - (a + 3)) * d * d + 1;
  const far = (d: number): number => ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
  return [far(t + 1), near(t), near(1 - t), far(2 - t)];
}

function matrix(out: number, size: number, dtype: DataType, row: (i: number) => readonly (readonly [number, number])[]): Value {
  const data = new Array<number>(out * size).fill(0);
  for (let i = 0; i < out; i += 1) {
    for (const [column, weight] of row(i)) {
      if (column >= 0 && column < size) data[i * size + column] = (data[i * size + column] ?? 0) + weight;
    }
  }
  return constant(data, { shape: [out, size], dtype });
}
