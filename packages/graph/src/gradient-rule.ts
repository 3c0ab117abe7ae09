/** An entry of the gradient column: how gradients of an operator's results become gradients of its operands. */
import { type Dim, dimEquals, type Shape } from "./dim.ts";
import type { TypedNode } from "./op-rule.ts";
import { add } from "./ops/elementwise.ts";
import { expand, reshape } from "./ops/movement.ts";
import { reduceSum } from "./ops/reductions.ts";
import { constant, type TensorType, type Value } from "./value.ts";

/** Vector-Jacobian product: gradients of the results → gradients of the operands (null: none flows there). */
export type Vjp<A> = (gradients: readonly (Value | null)[], node: TypedNode<A>) => readonly (Value | null)[];

export type Gradient<A> =
  | Vjp<A>
  /** A composite: its definition in other operators is differentiated. */
  | "definition"
  /** A definition that is written a second time for it, to be computed after the gradient has come. */
  | "recompute"
  /** Constant almost everywhere, or not a number at all: nothing flows. */
  | "nonDifferentiable";

export type Gradients<Attributes> = { readonly [Op in keyof Attributes]: Gradient<Attributes[Op]> };

export function zeros({ dtype, shape }: TensorType): Value {
  return expand(constant(0, { dtype }), shape);
}

/** Sums over the axes along which a value of `shape` was broadcast. */
export function sumTo(gradient: Value, { shape }: TensorType): Value {
  const extra = gradient.shape.length - shape.length;
  const axes = gradient.shape.flatMap((dim, i) => (i < extra || !dimEquals(dim, shape[i - extra] ?? dim) ? [i] : []));
  return reshape(reduceSum(gradient, { axes, keepDims: true }), shape);
}

/** Spreads the gradient of a reduction back over the axes it summed. */
export function spread(gradient: Value, { shape }: TensorType, axes: readonly number[]): Value {
  return expand(reshape(gradient, keptShape(shape, axes)), shape);
}

export function keptShape(shape: Shape, axes: readonly number[]): readonly Dim[] {
  return shape.map((dim, i) => (axes.includes(i) ? 1 : dim));
}

export function sum(values: readonly Value[]): Value | null {
  return values.length === 0 ? null : values.reduce((a, b) => add(a, b));
}
