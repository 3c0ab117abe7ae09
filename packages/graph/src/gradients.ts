/**
 * The gradient column of the rule table. It is total: an operator without an entry does not compile. `pending` marks a
 * rule that is not written yet; asking for such a gradient throws and names the operator.
 */
import type { TypedNode } from "./op-rule.ts";
import type { OpAttributes, OpName } from "./op-table.ts";
import type { Value } from "./value.ts";

/** Vector-Jacobian product: gradients of the outputs → gradients of the inputs (null: none flows there). */
export type Vjp<A> = (gradients: readonly (Value | null)[], node: TypedNode<A>) => readonly (Value | null)[];
export const nonDifferentiable = "nonDifferentiable";
export const pending = "pending";
export type Gradient<A> = Vjp<A> | typeof nonDifferentiable | typeof pending;

export type Gradients = { readonly [Op in OpName]: Gradient<OpAttributes[Op]> };

export const gradients: Gradients = {
  Neg: pending,
  Abs: pending,
  Exp: pending,
  Log: pending,
  Sqrt: pending,
  Reciprocal: pending,
  Sin: pending,
  Cos: pending,
  Tanh: pending,
  Sigmoid: pending,
  Erf: pending,
  Relu: pending,
  Floor: nonDifferentiable,
  Ceil: nonDifferentiable,
  Round: nonDifferentiable,
  Sign: nonDifferentiable,
  Not: nonDifferentiable,
  IsNaN: nonDifferentiable,
  Add: pending,
  Sub: pending,
  Mul: pending,
  Div: pending,
  Pow: pending,
  Min: pending,
  Max: pending,
  Equal: nonDifferentiable,
  Less: nonDifferentiable,
  LessOrEqual: nonDifferentiable,
  Greater: nonDifferentiable,
  GreaterOrEqual: nonDifferentiable,
  And: nonDifferentiable,
  Or: nonDifferentiable,
  Where: pending,
  Cast: pending,
  Reshape: pending,
  Expand: pending,
  Transpose: pending,
  Concat: pending,
  Split: pending,
  Slice: pending,
  Pad: pending,
  Gather: pending,
  GatherElements: pending,
  ScatterElements: pending,
  SizeOf: nonDifferentiable,
  Range: nonDifferentiable,
  MatMul: pending,
  Conv: pending,
  AveragePool: pending,
  MaxPool: pending,
  GridSample: pending,
  Resize: pending,
  ReduceSum: pending,
  ReduceMean: pending,
  ReduceMax: pending,
  ReduceMin: pending,
  Softmax: pending,
  LogSoftmax: pending,
  ArgMax: nonDifferentiable,
  TopK: pending,
  CumSum: pending,
  Linear: pending,
  Embedding: pending,
  LayerNorm: pending,
  RmsNorm: pending,
  Gelu: pending,
  QuickGelu: pending,
  RotaryEmbedding: pending,
  Attention: pending,
  AdaptiveAveragePool2d: pending,
};
