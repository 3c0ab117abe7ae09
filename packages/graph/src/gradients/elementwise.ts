/** Gradients of the elementwise operators. Operands that were broadcast get the sum over the repeated axes. */
import { isFloat } from "../data-type.ts";
import { type Gradients, sumTo, type Vjp, zeros } from "../gradient-rule.ts";
import { operand } from "../op-rule.ts";
import type { ElementwiseAttributes } from "../ops/elementwise.ts";
import * as e from "../ops/elementwise.ts";
import type { Value } from "../value.ts";

type None = Readonly<Record<never, never>>;

/** y = f(x): dx from dy, x and y. */
function unary(rule: (dy: Value, x: Value, y: Value) => Value): Vjp<None> {
  return ([dy], { op, inputs: [x], outputs: [y] }) => (dy ? [rule(dy, operand(op, x), operand(op, y))] : [null]);
}

/** y = f(a, b): da and db from dy, a, b and y. */
function binary(rule: (dy: Value, a: Value, b: Value, y: Value) => readonly [Value, Value]): Vjp<None> {
  return ([dy], { op, inputs: [left, right], outputs: [y] }) => {
    if (!dy) return [null, null];
    const [a, b] = [operand(op, left), operand(op, right)];
    const [da, db] = rule(dy, a, b, operand(op, y));
    return [sumTo(da, a), sumTo(db, b)];
  };
}

/** 1 where a wins, 1/2 where both are equal, as PyTorch shares it. */
const share = (wins: Value, drawOrWins: Value, dy: Value): Value => e.mul(e.add(e.cast(wins, dy.dtype), e.cast(drawOrWins, dy.dtype)), 0.5);

export const elementwiseGradients: Gradients<ElementwiseAttributes> = {
  Neg: unary((dy) => e.neg(dy)),
  Abs: unary((dy, x) => e.mul(dy, e.sign(x))),
  Exp: unary((dy, _, y) => e.mul(dy, y)),
  Log: unary((dy, x) => e.div(dy, x)),
  Sqrt: unary((dy, _, y) => e.div(e.mul(dy, 0.5), y)),
  Reciprocal: unary((dy, _, y) => e.neg(e.mul(dy, e.mul(y, y)))),
  Sin: unary((dy, x) => e.mul(dy, e.cos(x))),
  Cos: unary((dy, x) => e.neg(e.mul(dy, e.sin(x)))),
  Tanh: unary((dy, _, y) => e.mul(dy, e.sub(1, e.mul(y, y)))),
  Sigmoid: unary((dy, _, y) => e.mul(dy, e.mul(y, e.sub(1, y)))),
  Erf: unary((dy, x) => e.mul(dy, e.mul(e.exp(e.neg(e.mul(x, x))), 2 / Math.sqrt(Math.PI)))),
  Relu: unary((dy, x) => e.where(e.greater(x, 0), dy, 0)),
  Floor: "nonDifferentiable",
  Ceil: "nonDifferentiable",
  Round: "nonDifferentiable",
  Sign: "nonDifferentiable",
  Not: "nonDifferentiable",
  IsNaN: "nonDifferentiable",
  Add: binary((dy) => [dy, dy]),
  Sub: binary((dy) => [dy, e.neg(dy)]),
  Mul: binary((dy, a, b) => [e.mul(dy, b), e.mul(dy, a)]), // d(ab) = b·da + a·db
  Div: binary((dy, _, b, y) => [e.div(dy, b), e.neg(e.mul(dy, e.div(y, b)))]),
  Pow: binary((dy, a, b, y) => [e.mul(dy, e.mul(b, e.pow(a, e.sub(b, 1)))), e.mul(dy, e.mul(y, e.log(a)))]),
  Min: binary((dy, a, b) => [
    e.mul(dy, share(e.less(a, b), e.lessOrEqual(a, b), dy)),
    e.mul(dy, share(e.less(b, a), e.lessOrEqual(b, a), dy)),
  ]),
  Max: binary((dy, a, b) => [
    e.mul(dy, share(e.greater(a, b), e.greaterOrEqual(a, b), dy)),
    e.mul(dy, share(e.greater(b, a), e.greaterOrEqual(b, a), dy)),
  ]),
  Equal: "nonDifferentiable",
  Less: "nonDifferentiable",
  LessOrEqual: "nonDifferentiable",
  Greater: "nonDifferentiable",
  GreaterOrEqual: "nonDifferentiable",
  And: "nonDifferentiable",
  Or: "nonDifferentiable",
  Where: ([dy], { inputs: [condition, a, b] }) => {
    if (!dy) return [null, null, null];
    const chosen = operand("Where", condition);
    return [null, sumTo(e.where(chosen, dy, zeros(dy)), operand("Where", a)), sumTo(e.where(chosen, zeros(dy), dy), operand("Where", b))];
  },
  Cast: ([dy], { inputs: [x] }) => [dy && isFloat(operand("Cast", x).dtype) ? e.cast(dy, operand("Cast", x).dtype) : null],
};
