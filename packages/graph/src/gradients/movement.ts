/** Gradients of the operators that move elements: the elements move back. */
import { type Dim, dimAdd, dimMul, dimSub } from "../dim.ts";
import { type Gradients, sumTo, zeros } from "../gradient-rule.ts";
import { operand, withAxis } from "../op-rule.ts";
import { gather, gatherElements, type IndexingAttributes, scatterElements, scatterRows, slice } from "../ops/indexing.ts";
import { concat, expand, type MovementAttributes, reshape, transpose, unsqueeze } from "../ops/movement.ts";
import type { Value } from "../value.ts";

export const movementGradients: Gradients<MovementAttributes> = {
  Reshape: ([dy], { inputs: [x] }) => [dy ? reshape(dy, operand("Reshape", x).shape) : null],
  Expand: ([dy], { inputs: [x] }) => [dy ? sumTo(dy, operand("Expand", x)) : null],
  Transpose: ([dy], { attributes: { perm } }) => [
    dy
      ? transpose(
          dy,
          perm.map((_, axis) => perm.indexOf(axis)),
        )
      : null,
  ],
  Concat: ([dy], { inputs, attributes: { axis } }) => {
    let start: Dim = 0;
    return inputs.map(({ shape }) => {
      const end = dimAdd(start, shape[axis] ?? 0);
      const piece = dy ? slice(dy, { axis, start, end }) : null;
      start = end;
      return piece;
    });
  },
  Split: (gradients, { outputs, attributes: { axis } }) => [
    concat(
      outputs.map((output, i) => gradients[i] ?? zeros(output)),
      axis,
    ),
  ],
};

export const indexingGradients: Gradients<IndexingAttributes> = {
  Slice: ([dy], { inputs: [input], attributes: { axis, start, end, step } }) => {
    if (!dy) return [null];
    const x = operand("Slice", input);
    const gap = (size: Dim): readonly Value[] => (size === 0 ? [] : [zeros({ dtype: x.dtype, shape: withAxis(x.shape, axis, size) })]);
    const after = dimSub(x.shape[axis] ?? 0, end);
    return [concat([...gap(start), step === 1 ? dy : dilate(dy, axis, step, dimSub(end, start)), ...gap(after)], axis)];
  },
  Pad: ([dy], { inputs: [x], attributes: { pads } }) => {
    if (!dy) return [null];
    const { shape } = operand("Pad", x);
    return [pads.reduce((piece, [before], axis) => slice(piece, { axis, start: before, end: dimAdd(before, shape[axis] ?? 0) }), dy)];
  },
  Gather: ([dy], { inputs: [input, indices], attributes: { axis } }) => {
    if (!dy) return [null, null];
    const x = operand("Gather", input);
    const count = operand("Gather", indices).shape.reduce(dimMul, 1);
    const rows = reshape(dy, withAxis(x.shape, axis, count));
    if (axis === 0) return [scatterRows(zeros(x), reshape(operand("Gather", indices), [count]), rows, { add: true }), null];
    const places = reshape(
      operand("Gather", indices),
      x.shape.map((_, i) => (i === axis ? count : 1)),
    );
    return [scatterElements(zeros(x), expand(places, rows.shape), rows, axis, { add: true }), null];
  },
  GatherElements: ([dy], { inputs: [x, indices], attributes: { axis } }) =>
    dy
      ? [scatterElements(zeros(operand("GatherElements", x)), operand("GatherElements", indices), dy, axis, { add: true }), null]
      : [null, null],
  ScatterElements: ([dy], { inputs: [, indices, updates], attributes: { axis, add } }) => {
    if (!dy) return [null, null, null];
    const at = operand("ScatterElements", indices);
    const kept = add ? dy : scatterElements(dy, at, zeros(operand("ScatterElements", updates)), axis);
    return [kept, null, gatherElements(dy, at, axis)];
  },
  ScatterRows: ([dy], { inputs: [, indices, updates], attributes: { add } }) => {
    if (!dy) return [null, null, null];
    const at = operand("ScatterRows", indices);
    return [add ? dy : scatterRows(dy, at, zeros(operand("ScatterRows", updates))), null, gather(dy, at, 0)];
  },
  SizeOf: "nonDifferentiable",
  Range: "nonDifferentiable",
};

/** Puts `step - 1` zeros behind every element of an axis and cuts it to `length`. */
export function dilate(x: Value, axis: number, step: number, length: Dim): Value {
  const wide = unsqueeze(x, axis + 1);
  const gaps = zeros({ dtype: x.dtype, shape: withAxis(wide.shape, axis + 1, step - 1) });
  const joined = reshape(concat([wide, gaps], axis + 1), withAxis(x.shape, axis, dimMul(x.shape[axis] ?? 0, step)));
  return slice(joined, { axis, end: length });
}
