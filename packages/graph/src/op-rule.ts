/** A row of the rule table: what an operator's results look like, how it is differentiated, how it is written. */
import type { Emitter } from "./emitter.ts";
import type { OnnxAttributes } from "./onnx-attributes.ts";
import { GraphError } from "./shape-error.ts";
import { type Node, type TensorType, Value } from "./value.ts";

/** Vector-Jacobian product: gradients of the outputs → gradients of the inputs (null: none flows there). */
export type Vjp<A> = (gradients: readonly (Value | null)[], node: TypedNode<A>) => readonly (Value | null)[];
export const nonDifferentiable = "nonDifferentiable";
/** The rule belongs to the training package's issue and is not written yet; asking for it throws by name. */
export const pending = "pending";
export type Gradient<A> = Vjp<A> | typeof nonDifferentiable | typeof pending;

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
  readonly gradient: Gradient<A>;
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
  for (const type of rule.shape(inputs, attributes)) outputs.push(new Value(type, node));
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
