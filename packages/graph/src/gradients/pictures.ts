/** Gradients of the operators on pictures. Pooling and resizing are a product along each side: theirs are the transposed products. */
import { dimMul } from "../dim.ts";
import { type Gradients, zeros } from "../gradient-rule.ts";
import { operand } from "../op-rule.ts";
import * as e from "../ops/elementwise.ts";
import { range, scatterElements, slice } from "../ops/indexing.ts";
import { concat, reshape, transpose } from "../ops/movement.ts";
import type { PictureAttributes } from "../ops/pictures.ts";
import { matmul } from "../ops/products.ts";
import { reduceSum } from "../ops/reductions.ts";
import { constant, type Value } from "../value.ts";
import { convInputGradient, convWeightGradient } from "./convolution.ts";
import { resizeMatrix, sidesOf, windowMatrix } from "./side-matrix.ts";

export const pictureGradients: Gradients<PictureAttributes> = {
  Conv: ([dy], { inputs: [input, kernel, bias], attributes }) => {
    if (!dy) return [null, null, null];
    const [x, weight] = [operand("Conv", input), operand("Conv", kernel)];
    return [
      convInputGradient(dy, x, weight, attributes),
      convWeightGradient(dy, x, weight, attributes),
      bias === undefined ? null : reduceSum(dy, { axes: [0, 2, 3] }),
    ];
  },
  AveragePool: ([dy], { inputs: [x], attributes: { kernel, strides, pads } }) => {
    if (!dy) return [null];
    const [H, W] = sidesOf("AveragePool", operand("AveragePool", x));
    const [h, w] = sidesOf("AveragePool", dy);
    const rows = windowMatrix([h, H], kernel[0], strides[0], pads[0], dy.dtype);
    return [alongSides(dy, rows, windowMatrix([w, W], kernel[1], strides[1], pads[1], dy.dtype))];
  },
  // The second result says where each maximum was found, in the whole of x.
  MaxPool: ([dy], { inputs: [input], outputs: [, places] }) => {
    if (!dy) return [null];
    const x = operand("MaxPool", input);
    const flat = zeros({ dtype: x.dtype, shape: [x.shape.reduce(dimMul, 1)] });
    const count = [dy.shape.reduce(dimMul, 1)];
    return [reshape(scatterElements(flat, reshape(operand("MaxPool", places), count), reshape(dy, count), 0, { add: true }), x.shape)];
  },
  GridSample: ([dy], { inputs: [input, grid] }) =>
    dy ? gridSampleGradients(dy, operand("GridSample", input), operand("GridSample", grid)) : [null, null],
  Resize: ([dy], { inputs: [input], attributes }) => {
    if (!dy) return [null];
    const [H, W] = sidesOf("Resize", operand("Resize", input));
    return [
      alongSides(dy, resizeMatrix(H, attributes.size[0], attributes, dy.dtype), resizeMatrix(W, attributes.size[1], attributes, dy.dtype)),
    ];
  },
  AdaptiveAveragePool2d: "definition",
};

/** y = rows · x · columnsᵀ for every channel: dx = rowsᵀ · dy · columns. */
function alongSides(dy: Value, rows: Value, columns: Value): Value {
  return matmul(rows, matmul(dy, columns), { transA: true });
}

/**
 * Bilinear sampling as a product: pixel (j, i) counts hat(y − j) · hat(x − i) in a sample at (x, y), where hat(d) is
 * 1 − |d| within 1 and 0 beyond. So dx is one product over all samples; scattering four corners would write as many
 * numbers, one after the other.
 */
function gridSampleGradients(dy: Value, x: Value, grid: Value): readonly [Value, Value] {
  const [B = 0, C = 0] = x.shape;
  const [H, W] = sidesOf("GridSample", x);
  const P = dimMul(grid.shape[1] ?? 0, grid.shape[2] ?? 0);
  const places = reshape(grid, [B, P, 2, 1]);
  const [columns, rows] = [distances(places, 0, W), distances(places, 1, H)]; // [B, P, 1, W], [B, P, 1, H]
  const samples = reshape(dy, [B, C, P]);
  const weights = reshape(e.mul(transpose(hat(rows), [0, 1, 3, 2]), hat(columns)), [B, P, H * W]);
  const dx = reshape(matmul(samples, weights), x.shape);

  const received = reshape(matmul(samples, reshape(x, [B, C, H * W]), { transA: true }), [B, P, H, W]); // of every weight
  const both = matmul(concat([hat(rows), slope(rows)], 2), received); // [B, P, 2, W]
  const perPixel = reduceSum(e.mul(both, concat([slope(columns), hat(columns)], 2)), { axes: [3] }); // along x, along y
  return [dx, reshape(e.mul(perPixel, constant([W / 2, H / 2], { dtype: grid.dtype })), grid.shape)];
}

/** From every sample to every pixel of one side, in pixels: [B, P, 1, size]. -1 … 1 spans the outer edges of the pixels. */
function distances(places: Value, coordinate: 0 | 1, size: number): Value {
  const at = slice(places, { axis: 2, start: coordinate, end: coordinate + 1 });
  return e.sub(e.mul(e.sub(e.mul(e.add(at, 1), size), 1), 0.5), e.cast(range(size), places.dtype));
}

function hat(distance: Value): Value {
  return e.relu(e.sub(1, e.abs(distance)));
}

/** d hat / d distance; at a pixel itself the one towards the next pixel, as PyTorch has it. */
function slope(distance: Value): Value {
  const pixel = e.floor(distance);
  return e.sub(e.cast(e.equal(pixel, -1), distance.dtype), e.cast(e.equal(pixel, 0), distance.dtype));
}
