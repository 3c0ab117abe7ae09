/** Operators that move elements without computing: reshape, transpose, concat, slice, gather … */
import { type Dim, dimAdd, dimEquals, dimMul, dimProduct, dimSub, formatShape, namesOf, type Shape, symbol } from "../dim.ts";
import { int, ints } from "../onnx-attributes.ts";
import { apply, applyAll, nonDifferentiable, pending, type Rules } from "../op-rule.ts";
import { ShapeError } from "../shape-error.ts";
import { constant, type Value } from "../value.ts";
import { broadcast } from "./elementwise.ts";

export interface MovementAttributes {
  Reshape: { readonly shape: Shape };
  Expand: { readonly shape: Shape };
  Transpose: { readonly perm: readonly number[] };
  Concat: { readonly axis: number };
  Split: { readonly axis: number; readonly sizes: readonly number[] };
  Slice: { readonly axis: number; readonly start: Dim; readonly end: Dim; readonly step: number };
  Pad: { readonly pads: readonly (readonly [number, number])[]; readonly value: number };
  Gather: { readonly axis: number };
  GatherElements: { readonly axis: number };
  ScatterElements: { readonly axis: number };
  SizeOf: { readonly dim: Dim };
  Range: { readonly end: Dim };
}

/** A whole axis number; negative ones count from the end. */
export function axisOf(op: string, x: Value, axis: number): number {
  const rank = x.shape.length;
  const index = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(axis) || index < 0 || index >= rank) {
    throw new ShapeError(`${op}: expected an axis of ${formatShape(x.shape)} (${-rank} … ${rank - 1}), got ${axis}.`);
  }
  return index;
}

export function operand(op: string, x: Value | undefined): Value {
  if (x === undefined) throw new ShapeError(`${op}: an operand is missing.`);
  return x;
}

const withAxis = (shape: Shape, axis: number, size: Dim): Shape => shape.map((dim, i) => (i === axis ? size : dim));

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
    gradient: pending,
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
    gradient: pending,
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
    gradient: pending,
    lower: { onnx: "Transpose", attributes: ({ perm }) => ({ perm: ints(perm) }) },
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
    gradient: pending,
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
    gradient: pending,
    lower: {
      emit: (e, [x = ""], { attributes: { axis, sizes } }) =>
        e.node("Split", [x, e.int64(sizes)], { axis: int(axis) }, { outputs: sizes.length }),
    },
  },
  Slice: {
    shape: ([x], { axis, start, end, step }) => {
      const from = operand("Slice", x);
      const length = dimSub(end, start);
      if (typeof length !== "number" && step !== 1) throw new ShapeError(`Slice: a step of ${step} needs a known length, got ${length}.`);
      return [
        {
          dtype: from.dtype,
          shape: withAxis(from.shape, axis, typeof length === "number" ? Math.max(0, Math.ceil(length / step)) : length),
        },
      ];
    },
    gradient: pending,
    lower: {
      emit: (e, [x = ""], { attributes: { axis, start, end, step } }) =>
        e.node("Slice", [x, e.shape([start]), e.shape([end]), e.int64([axis]), e.int64([step])]),
    },
  },
  Pad: {
    shape: ([x], { pads }) => {
      const from = operand("Pad", x);
      if (pads.length !== from.shape.length)
        throw new ShapeError(`Pad: expected a pair for each axis of ${formatShape(from.shape)}, got ${pads.length}.`);
      return [{ dtype: from.dtype, shape: from.shape.map((dim, i) => dimAdd(dim, (pads[i]?.[0] ?? 0) + (pads[i]?.[1] ?? 0))) }];
    },
    gradient: pending,
    lower: {
      emit: (e, [x = ""], node) => {
        const { pads, value } = node.attributes;
        return e.node("Pad", [
          x,
          e.int64([...pads.map(([before]) => before), ...pads.map(([, after]) => after)]),
          e.constant(constant(value, { dtype: operand("Pad", node.inputs[0]).dtype })),
        ]);
      },
    },
  },
  Gather: {
    shape: ([x, indices], { axis }) => {
      const from = operand("Gather", x);
      const at = operand("Gather", indices);
      if (at.dtype !== "int64" && at.dtype !== "int32") throw new ShapeError(`Gather: expected int64 or int32 indices, got ${at.dtype}.`);
      return [{ dtype: from.dtype, shape: [...from.shape.slice(0, axis), ...at.shape, ...from.shape.slice(axis + 1)] }];
    },
    gradient: pending,
    lower: { onnx: "Gather", attributes: ({ axis }) => ({ axis: int(axis) }) },
  },
  GatherElements: {
    shape: ([x, indices]) => [{ dtype: operand("GatherElements", x).dtype, shape: operand("GatherElements", indices).shape }],
    gradient: pending,
    lower: { onnx: "GatherElements", attributes: ({ axis }) => ({ axis: int(axis) }) },
  },
  ScatterElements: {
    shape: ([x, indices, updates]) => {
      const into = operand("ScatterElements", x);
      const [at, from] = [operand("ScatterElements", indices), operand("ScatterElements", updates)];
      if (formatShape(at.shape) !== formatShape(from.shape))
        throw new ShapeError(`ScatterElements: indices ${formatShape(at.shape)} and updates ${formatShape(from.shape)} differ.`);
      return [{ dtype: into.dtype, shape: into.shape }];
    },
    gradient: pending,
    lower: { onnx: "ScatterElements", attributes: ({ axis }) => ({ axis: int(axis) }) },
  },
  SizeOf: {
    shape: () => [{ dtype: "int64", shape: [] }],
    gradient: nonDifferentiable,
    lower: { emit: (e, _, { attributes: { dim } }) => [e.scalarDim(dim)] },
  },
  Range: {
    shape: (_, { end }) => [{ dtype: "int64", shape: [end] }],
    gradient: nonDifferentiable,
    lower: { emit: (e, _, { attributes: { end } }) => e.node("Range", [e.scalarDim(0), e.scalarDim(end), e.scalarDim(1)]) },
  },
};

/** The same elements in another shape. A single -1 stands for whatever is left, where that divides evenly. */
export function reshape(x: Value, shape: Shape): Value {
  const open = shape.indexOf(-1);
  const known = dimProduct(shape.filter((_, i) => i !== open));
  const target = open < 0 ? shape : shape.map((dim, i) => (i === open ? quotient(x, known) : dim));
  return formatShape(target) === formatShape(x.shape) ? x : apply(movementRules, "Reshape", [x], { shape: target });
}

function quotient(x: Value, known: Dim): Dim {
  const total = dimProduct(x.shape);
  const names = namesOf(total).filter((name) => !namesOf(known).includes(name));
  if (typeof known === "number" && known > 0) {
    if (typeof total === "number" && total % known === 0) return total / known;
    if (typeof total !== "number" && [...total.terms.values()].every((factor) => factor % known === 0)) {
      return [...total.terms]
        .map(([key, factor]) =>
          key
            .split("*")
            .filter(Boolean)
            .map(symbolOf)
            .reduce(dimMul, factor / known),
        )
        .reduce(dimAdd, 0);
    }
  } else if (typeof total !== "number" && total.terms.size === 1) {
    const [factor = 1] = total.terms.values();
    const divisor = typeof known === "number" ? known : ([...known.terms.values()][0] ?? 1);
    const result = names.map(symbolOf).reduce(dimMul, factor / divisor);
    if (dimEquals(dimMul(result, known), total)) return result;
  }
  throw new ShapeError(`Reshape: ${formatShape(x.shape)} does not divide by ${known}; write the size instead of -1.`);
}

const symbolOf = (name: string): Dim => symbol(name);

export function expand(x: Value, shape: Shape): Value {
  return formatShape(shape) === formatShape(x.shape) ? x : apply(movementRules, "Expand", [x], { shape });
}

export function transpose(x: Value, perm: readonly number[]): Value {
  return perm.every((axis, i) => axis === i) && perm.length === x.shape.length ? x : apply(movementRules, "Transpose", [x], { perm });
}

export function unsqueeze(x: Value, axis: number): Value {
  const at = axis < 0 ? axis + x.shape.length + 1 : axis;
  return reshape(x, [...x.shape.slice(0, at), 1, ...x.shape.slice(at)]);
}

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

/** `x[start:end:step]` on one axis; negative numbers count from the end, which is left out for "to the end". */
export function slice(
  x: Value,
  { axis, start = 0, end, step = 1 }: { readonly axis: number; readonly start?: Dim; readonly end?: Dim; readonly step?: number },
): Value {
  const at = axisOf("slice", x, axis);
  const size = x.shape[at] ?? 0;
  const place = (dim: Dim): Dim => {
    const from = typeof dim === "number" && dim < 0 ? dimAdd(size, dim) : dim;
    return typeof from === "number" && typeof size === "number" ? Math.min(Math.max(from, 0), size) : from;
  };
  if (step < 1 || !Number.isInteger(step)) throw new ShapeError(`slice: expected a step of 1 or more, got ${step}.`);
  const [from, to] = [place(start), end === undefined ? size : place(end)];
  return from === 0 && dimEquals(to, size) && step === 1 ? x : apply(movementRules, "Slice", [x], { axis: at, start: from, end: to, step });
}

/** Pads with a value: a pair [before, after] for every axis. */
export function pad(x: Value, pads: readonly (readonly [number, number])[], value = 0): Value {
  return apply(movementRules, "Pad", [x], { pads, value });
}

export function gather(x: Value, indices: Value, axis = 0): Value {
  return apply(movementRules, "Gather", [x, indices], { axis: axisOf("gather", x, axis) });
}

export function gatherElements(x: Value, indices: Value, axis: number): Value {
  return apply(movementRules, "GatherElements", [x, indices], { axis: axisOf("gatherElements", x, axis) });
}

export function scatterElements(x: Value, indices: Value, updates: Value, axis: number): Value {
  return apply(movementRules, "ScatterElements", [x, indices, updates], { axis: axisOf("scatterElements", x, axis) });
}

/** The size of an axis as an int64 scalar, also where it is open. */
export function sizeOf(x: Value, axis: number): Value {
  return sizeScalar(x.shape[axisOf("sizeOf", x, axis)] ?? 0);
}

/** A size as an int64 scalar; an open one is computed from the shapes of the graph's inputs. */
export function sizeScalar(dim: Dim): Value {
  return typeof dim === "number" ? constant(BigInt(dim)) : apply(movementRules, "SizeOf", [], { dim });
}

/** 0, 1 … end - 1 as int64. */
export function range(end: Dim): Value {
  return apply(movementRules, "Range", [], { end });
}
