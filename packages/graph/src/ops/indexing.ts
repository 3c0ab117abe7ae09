/** Operators that pick, place and count along an axis: slice, pad, gather, scatter, range. */
import { type Dim, dimAdd, dimEquals, dimProduct, dimSub, formatShape, shapeEquals } from "../dim.ts";
import type { Emitter } from "../emitter.ts";
import { int, string } from "../onnx-attributes.ts";
import { apply, axisOf, operand, type Rules, type TypedNode, withAxis } from "../op-rule.ts";
import { ShapeError } from "../shape-error.ts";
import { constant, type TensorType, type Value } from "../value.ts";
import * as elementwise from "./elementwise.ts";
import { reshape, unsqueeze } from "./movement.ts";

export interface IndexingAttributes {
  Slice: { readonly axis: number; readonly start: Dim; readonly end: Dim; readonly step: number };
  Pad: { readonly pads: readonly (readonly [number, number])[]; readonly value: number };
  Gather: { readonly axis: number };
  GatherElements: { readonly axis: number };
  ScatterElements: { readonly axis: number; readonly add: boolean };
  ScatterRows: { readonly add: boolean };
  SizeOf: { readonly dim: Dim };
  Range: { readonly start: Dim; readonly end: Dim };
}

function requireIndices(op: string, indices: Value): void {
  if (indices.dtype !== "int64" && indices.dtype !== "int32")
    throw new ShapeError(`${op}: expected int64 or int32 indices, got ${indices.dtype}.`);
}

/** Indices of an element-wise gather or scatter: of x's rank, and within x on every other axis. */
function alongAxis(op: string, x: TensorType, indices: Value, axis: number): Value {
  requireIndices(op, indices);
  const beyond = indices.shape.some((dim, i) => {
    const size = x.shape[i] ?? 0;
    return i !== axis && (typeof dim === "number" && typeof size === "number" ? dim > size : !dimEquals(dim, size));
  });
  if (indices.shape.length !== x.shape.length || beyond) {
    throw new ShapeError(
      `${op} on axis ${axis}: expected indices of rank ${x.shape.length} within ${formatShape(x.shape)} on the other axes, got ${formatShape(indices.shape)}.`,
    );
  }
  return indices;
}

export const indexingRules: Rules<IndexingAttributes> = {
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
      if (pads.flat().some((size) => !Number.isInteger(size) || size < 0))
        throw new ShapeError(`Pad: expected whole numbers ≥ 0, got ${JSON.stringify(pads)}. Use ops.slice to cut.`);
      return [{ dtype: from.dtype, shape: from.shape.map((dim, i) => dimAdd(dim, (pads[i]?.[0] ?? 0) + (pads[i]?.[1] ?? 0))) }];
    },
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
      requireIndices("Gather", at);
      return [{ dtype: from.dtype, shape: [...from.shape.slice(0, axis), ...at.shape, ...from.shape.slice(axis + 1)] }];
    },
    lower: { onnx: "Gather", attributes: ({ axis }) => ({ axis: int(axis) }) },
  },
  GatherElements: {
    shape: ([x, indices], { axis }) => {
      const from = operand("GatherElements", x);
      const at = alongAxis("GatherElements", from, operand("GatherElements", indices), axis);
      return [{ dtype: from.dtype, shape: at.shape }];
    },
    lower: { onnx: "GatherElements", attributes: ({ axis }) => ({ axis: int(axis) }) },
  },
  ScatterElements: {
    shape: ([x, indices, updates], { axis }) => {
      const into = operand("ScatterElements", x);
      const at = alongAxis("ScatterElements", into, operand("ScatterElements", indices), axis);
      const from = operand("ScatterElements", updates);
      if (from.dtype !== into.dtype || !shapeEquals(at.shape, from.shape)) {
        throw new ShapeError(
          `ScatterElements: expected ${into.dtype} updates ${formatShape(at.shape)}, got ${from.dtype} ${formatShape(from.shape)}.`,
        );
      }
      return [{ dtype: into.dtype, shape: into.shape }];
    },
    lower: {
      onnx: "ScatterElements",
      attributes: ({ axis, add }) => ({ axis: int(axis), reduction: string(add ? "add" : "none") }),
    },
  },
  ScatterRows: {
    shape: ([x, indices, updates]) => {
      const [into, at] = [operand("ScatterRows", x), operand("ScatterRows", indices)];
      const from = operand("ScatterRows", updates);
      requireIndices("ScatterRows", at);
      const wanted = [...at.shape, ...into.shape.slice(1)];
      if (into.shape.length === 0 || at.shape.length !== 1 || from.dtype !== into.dtype || !shapeEquals(from.shape, wanted)) {
        throw new ShapeError(
          `ScatterRows: expected x [N, …], indices [R] and updates [R, …] of one type, got ${into.dtype} ${formatShape(into.shape)}, ${formatShape(at.shape)}, ${from.dtype} ${formatShape(from.shape)}.`,
        );
      }
      return [{ dtype: into.dtype, shape: into.shape }];
    },
    lower: { portable: scatterRowsByElements, fused: scatterRowsAtOnce },
  },
  SizeOf: {
    shape: () => [{ dtype: "int64", shape: [] }],
    lower: { emit: (e, _, { attributes: { dim } }) => [e.scalarDim(dim)] },
  },
  Range: {
    shape: (_, { start, end }) => {
      const length = dimSub(end, start);
      return [{ dtype: "int64", shape: [typeof length === "number" ? Math.max(0, length) : length] }];
    },
    lower: { emit: (e, _, { attributes: { start, end } }) => e.node("Range", [e.scalarDim(start), e.scalarDim(end), e.scalarDim(1)]) },
  },
};

/**
 * ScatterElements adds one element after the other; in a single axis it is twice as fast as along rows. ScatterND would add
 * rows that meet at one index from two threads at once and lose some: wrong in 32 of 50 runs with 6400 rows of 192 into 50
 * (onnxruntime 1.30).
 */
function scatterRowsByElements([x, indices, updates]: readonly Value[], { add }: IndexingAttributes["ScatterRows"]): Value {
  const [into, rows] = [operand("ScatterRows", x), operand("ScatterRows", updates)];
  const [R = 0, ...row] = rows.shape;
  const width = dimProduct(row);
  const flat = (value: Value): Value => reshape(value, [dimProduct(value.shape)]);
  const first = elementwise.mul(elementwise.cast(reshape(operand("ScatterRows", indices), [R, 1]), "int64"), sizeScalar(width));
  const places = elementwise.add(first, range(width)); // of every element in all of x
  return reshape(scatterElements(flat(into), flat(places), flat(rows), 0, { add }), into.shape);
}

/** Rows that replace others are copied whole. */
function scatterRowsAtOnce(
  emitter: Emitter,
  [x = "", , updates = ""]: readonly string[],
  { inputs: [, indices], attributes: { add } }: TypedNode<IndexingAttributes["ScatterRows"]>,
): readonly string[] | null {
  if (add) return null;
  const places = emitter.lower(unsqueeze(elementwise.cast(operand("ScatterRows", indices), "int64"), 1));
  return emitter.node("ScatterND", [x, places, updates]);
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
  return from === 0 && dimEquals(to, size) && step === 1 ? x : apply(indexingRules, "Slice", [x], { axis: at, start: from, end: to, step });
}

/** Pads with a value: a pair [before, after] for every axis. */
export function pad(x: Value, pads: readonly (readonly [number, number])[], value = 0): Value {
  return apply(indexingRules, "Pad", [x], { pads, value });
}

/** Slices of x at the indices: the axis is replaced by the indices' axes. Negative indices count from the end. */
export function gather(x: Value, indices: Value, axis = 0): Value {
  return apply(indexingRules, "Gather", [x, indices], { axis: axisOf("gather", x, axis) });
}

/** `y[i][j] = x[indices[i][j]][j]` (on axis 0), as torch.gather. */
export function gatherElements(x: Value, indices: Value, axis: number): Value {
  return apply(indexingRules, "GatherElements", [x, indices], { axis: axisOf("gatherElements", x, axis) });
}

/** A copy of x with the updates written to (with `add`: added at) the indices, as torch.scatter and scatter_add. */
export function scatterElements(
  x: Value,
  indices: Value,
  updates: Value,
  axis: number,
  { add = false }: { readonly add?: boolean } = {},
): Value {
  return apply(indexingRules, "ScatterElements", [x, indices, updates], { axis: axisOf("scatterElements", x, axis), add });
}

/**
 * A copy of x [N, …] with the updates [R, …] written to (with `add`: added at) the rows that the indices [R] name. Rows
 * named twice are summed with `add`, in order; without it one of the updates stays.
 */
export function scatterRows(x: Value, indices: Value, updates: Value, { add = false }: { readonly add?: boolean } = {}): Value {
  return apply(indexingRules, "ScatterRows", [x, indices, updates], { add });
}

/** The size of an axis as an int64 scalar, also where it is open. */
export function sizeOf(x: Value, axis: number): Value {
  return sizeScalar(x.shape[axisOf("sizeOf", x, axis)] ?? 0);
}

/** A size as an int64 scalar; an open one is computed from the shapes of the graph's inputs. */
export function sizeScalar(dim: Dim): Value {
  return typeof dim === "number" ? constant(BigInt(dim)) : apply(indexingRules, "SizeOf", [], { dim });
}

/** `range(end)`: 0, 1 … end - 1 as int64. `range(start, end)`: from start. */
export function range(from: Dim, to?: Dim): Value {
  const [start, end] = to === undefined ? [0, from] : [from, to];
  return apply(indexingRules, "Range", [], { start, end });
}
