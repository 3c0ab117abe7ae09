/** Operators that give the same elements another shape or order: reshape, transpose, expand, concat, split. */
import { dimAdd, dimDivide, dimEquals, dimProduct, formatShape, type Shape, shapeEquals } from "../dim.ts";
import { int } from "../onnx-attributes.ts";
import { apply, applyAll, axisOf, operand, type Rules, withAxis } from "../op-rule.ts";
import { ShapeError } from "../shape-error.ts";
import type { Value } from "../value.ts";
import { broadcast } from "./elementwise.ts";

export interface MovementAttributes {
  Reshape: { readonly shape: Shape };
  Expand: { readonly shape: Shape };
  Transpose: { readonly perm: readonly number[] };
  Concat: { readonly axis: number };
  Split: { readonly axis: number; readonly sizes: readonly number[] };
}

export const movementRules: Rules<MovementAttributes> = {
  Reshape: {
    shape: ([x], { shape }) => {
      const from = operand("Reshape", x);
      if (!dimEquals(dimProduct(from.shape), dimProduct(shape))) {
        throw new ShapeError(
          `Reshape: ${formatShape(from.shape)} has ${dimProduct(from.shape)} elements, ${formatShape(shape)} has ${dimProduct(shape)}.`,
        );
      }
      return [{ dtype: from.dtype, shape }];
    },
    lower: {
      emit: (e, [x = ""], node) => e.reshape(x, operand("Reshape", node.inputs[0]).shape, node.attributes.shape),
    },
  },
  Expand: {
    shape: ([x], { shape }) => {
      const from = operand("Expand", x);
      if (!broadcast("Expand", [from.shape, shape]).every((dim, i) => dimEquals(dim, shape[i] ?? 0))) {
        throw new ShapeError(`Expand: ${formatShape(from.shape)} does not expand to ${formatShape(shape)}.`);
      }
      return [{ dtype: from.dtype, shape }];
    },
    lower: { emit: (e, [x = ""], node) => e.node("Expand", [x, e.shape(node.attributes.shape)]) },
  },
  Transpose: {
    shape: ([x], { perm }) => {
      const from = operand("Transpose", x);
      if (perm.length !== from.shape.length || [...perm].sort((a, b) => a - b).some((axis, i) => axis !== i)) {
        throw new ShapeError(
          `Transpose: expected an order of the ${from.shape.length} axes of ${formatShape(from.shape)}, got [${perm.join(", ")}].`,
        );
      }
      return [{ dtype: from.dtype, shape: perm.map((axis) => from.shape[axis] ?? 0) }];
    },
    lower: { emit: (e, [x = ""], { attributes: { perm } }) => e.transpose(x, perm) },
  },
  Concat: {
    shape: (inputs, { axis }) => {
      const first = operand("Concat", inputs[0]);
      for (const x of inputs) {
        if (
          x.dtype !== first.dtype ||
          x.shape.length !== first.shape.length ||
          x.shape.some((dim, i) => i !== axis && !dimEquals(dim, first.shape[i] ?? 0))
        ) {
          throw new ShapeError(
            `Concat on axis ${axis}: shapes ${inputs.map((v) => `${v.dtype} ${formatShape(v.shape)}`).join(", ")} do not fit.`,
          );
        }
      }
      return [{ dtype: first.dtype, shape: withAxis(first.shape, axis, inputs.map((x) => x.shape[axis] ?? 0).reduce(dimAdd, 0)) }];
    },
    lower: { onnx: "Concat", attributes: ({ axis }) => ({ axis: int(axis) }) },
  },
  Split: {
    shape: ([x], { axis, sizes }) => {
      const from = operand("Split", x);
      const sum = sizes.reduce((a, b) => a + b, 0);
      if (from.shape[axis] !== sum)
        throw new ShapeError(`Split: axis ${axis} of ${formatShape(from.shape)} is not ${sizes.join(" + ")} = ${sum}.`);
      return sizes.map((size) => ({ dtype: from.dtype, shape: withAxis(from.shape, axis, size) }));
    },
    lower: {
      emit: (e, [x = ""], { attributes: { axis, sizes } }) =>
        e.node("Split", [x, e.int64(sizes)], { axis: int(axis) }, { outputs: sizes.length }),
    },
  },
};

/** The same elements in another shape. A single -1 stands for whatever is left, where that divides evenly. */
export function reshape(x: Value, shape: Shape): Value {
  const open = shape.indexOf(-1);
  const known = dimProduct(shape.filter((_, i) => i !== open));
  const left = open < 0 ? 1 : dimDivide(dimProduct(x.shape), known);
  if (left === null) {
    throw new ShapeError(`Reshape: ${formatShape(x.shape)} does not divide by ${known}; write the size instead of -1.`);
  }
  const target = shape.map((dim, i) => (i === open ? left : dim));
  return shapeEquals(target, x.shape) ? x : apply(movementRules, "Reshape", [x], { shape: target });
}

/** Repeats axes of size 1 until the value has the shape; axes may be added in front. */
export function expand(x: Value, shape: Shape): Value {
  return shapeEquals(shape, x.shape) ? x : apply(movementRules, "Expand", [x], { shape });
}

/** Axis i of the result is axis `perm[i]` of x. */
export function transpose(x: Value, perm: readonly number[]): Value {
  return perm.every((axis, i) => axis === i) && perm.length === x.shape.length ? x : apply(movementRules, "Transpose", [x], { perm });
}

/** A new axis of size 1; -1 puts it last. */
export function unsqueeze(x: Value, axis: number): Value {
  const rank = x.shape.length + 1;
  const at = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(at) || at < 0 || at >= rank) {
    throw new ShapeError(`unsqueeze: expected a place from ${-rank} to ${rank - 1} for ${formatShape(x.shape)}, got ${axis}.`);
  }
  return reshape(x, [...x.shape.slice(0, at), 1, ...x.shape.slice(at)]);
}

/** Drops an axis of size 1. */
export function squeeze(x: Value, axis: number): Value {
  const at = axisOf("squeeze", x, axis);
  if (x.shape[at] !== 1) throw new ShapeError(`squeeze: axis ${axis} of ${formatShape(x.shape)} is not 1.`);
  return reshape(
    x,
    x.shape.filter((_, i) => i !== at),
  );
}

export function concat(values: readonly Value[], axis: number): Value {
  const [first] = values;
  if (first === undefined) throw new ShapeError("concat: expected at least one value.");
  return values.length === 1 ? first : apply(movementRules, "Concat", values, { axis: axisOf("concat", first, axis) });
}

/** Cuts an axis into pieces of the given sizes. */
export function split(x: Value, sizes: readonly number[], axis: number): readonly Value[] {
  return applyAll(movementRules, "Split", [x], { axis: axisOf("split", x, axis), sizes });
}
