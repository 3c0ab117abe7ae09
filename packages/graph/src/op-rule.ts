/** A row of the rule table: what an operator's results look like and how it is written. */
import { isFloat } from "./data-type.ts";
import { type Dim, formatShape, type Shape } from "./dim.ts";
import type { Emitter } from "./emitter.ts";
import type { OnnxAttributes } from "./onnx-attributes.ts";
import { GraphError, ShapeError } from "./shape-error.ts";
import { type Node, type TensorType, Value } from "./value.ts";

export interface TypedNode<A> extends Node {
  readonly attributes: A;
}

export type Lowering<A> =
  /** The same operator in ai.onnx. */
  | { readonly onnx: string; readonly attributes?: (attributes: A, node: TypedNode<A>) => OnnxAttributes }
  /** Written by hand: input names → output names. */
  | { readonly emit: (emitter: Emitter, inputs: readonly string[], node: TypedNode<A>) => readonly string[] }
  /** A composite: its definition in other operators, and ONNX Runtime's fused one where it pays (null: not here). */
  | {
      readonly portable: (inputs: readonly Value[], attributes: A) => Value | readonly Value[];
      readonly fused?: (emitter: Emitter, inputs: readonly string[], node: TypedNode<A>) => readonly string[] | null;
    };

export interface OpRule<A> {
  shape(inputs: readonly Value[], attributes: A): readonly TensorType[];
  readonly lower: Lowering<A>;
}

export type Rules<Attributes> = { readonly [Op in keyof Attributes]: OpRule<Attributes[Op]> };

/** Writes one use of an operator into the graph: all of its results. */
export function applyAll<Attributes, Op extends keyof Attributes & string>(
  rules: Rules<Attributes>,
  op: Op,
  inputs: readonly Value[],
  attributes: Attributes[Op],
): readonly Value[] {
  const rule = rules[op];
  const outputs: Value[] = [];
  const node = { op, rule: rule as unknown as OpRule<never>, inputs, attributes, outputs };
  try {
    for (const type of rule.shape(inputs, attributes)) outputs.push(new Value(type, node));
  } catch (error) {
    if (error instanceof ShapeError) {
      error.op ??= op;
      error.operands = inputs.map(({ dtype, shape }) => `${dtype} ${formatShape(shape)}`);
    }
    throw error;
  }
  return outputs;
}

/** Writes one use of an operator with one result. */
export function apply<Attributes, Op extends keyof Attributes & string>(
  rules: Rules<Attributes>,
  op: Op,
  inputs: readonly Value[],
  attributes: Attributes[Op],
): Value {
  const [value] = applyAll(rules, op, inputs, attributes);
  if (value === undefined) throw new GraphError(`${op}: its shape rule names no result.`);
  return value;
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

export function withAxis(shape: Shape, axis: number, size: Dim): Shape {
  return shape.map((dim, i) => (i === axis ? size : dim));
}

export function requireFloat(op: string, x: Value | undefined): Value {
  const value = operand(op, x);
  if (!isFloat(value.dtype)) throw new ShapeError(`${op}: expected a float tensor, got ${value.dtype} ${formatShape(value.shape)}.`);
  return value;
}
