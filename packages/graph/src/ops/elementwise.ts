/** Operators that work element by element, with NumPy broadcasting. */
import { type DataType, dataTypes, isFloat } from "../data-type.ts";
import { type Dim, dimEquals, formatShape, type Shape, shapeEquals } from "../dim.ts";
import type { Emitter } from "../emitter.ts";
import { int } from "../onnx-attributes.ts";
import { apply, type OpRule, operand, type Rules, type TypedNode } from "../op-rule.ts";
import { ShapeError } from "../shape-error.ts";
import { constant, Value } from "../value.ts";

type None = Readonly<Record<never, never>>;
const none: None = {};

export interface ElementwiseAttributes {
  Neg: None;
  Abs: None;
  Exp: None;
  Log: None;
  Sqrt: None;
  Reciprocal: None;
  Sin: None;
  Cos: None;
  Tanh: None;
  Sigmoid: None;
  Erf: None;
  Relu: None;
  Floor: None;
  Ceil: None;
  Round: None;
  Sign: None;
  Not: None;
  IsNaN: None;
  Add: None;
  Sub: None;
  Mul: None;
  Div: None;
  Pow: None;
  Min: None;
  Max: None;
  Equal: None;
  Less: None;
  LessOrEqual: None;
  Greater: None;
  GreaterOrEqual: None;
  And: None;
  Or: None;
  Where: None;
  Cast: { readonly to: DataType };
}

/** The shape that NumPy broadcasting gives; the error names the operator. */
export function broadcast(op: string, shapes: readonly Shape[]): Shape {
  const rank = Math.max(...shapes.map((shape) => shape.length));
  return Array.from({ length: rank }, (_, axis) => {
    let size: Dim = 1;
    for (const shape of shapes) {
      const dim = shape[axis - rank + shape.length] ?? 1;
      if (dimEquals(dim, size) || dim === 1) continue;
      if (size !== 1)
        throw new ShapeError(`${op}: shapes ${shapes.map(formatShape).join(" and ")} do not broadcast: ${size} against ${dim}.`);
      size = dim;
    }
    return size;
  });
}

function sameType(op: string, inputs: readonly Value[]): DataType {
  const [first] = inputs;
  for (const value of inputs) {
    if (first === undefined || value.dtype !== first.dtype) {
      throw new ShapeError(`${op}: expected operands of one type, got ${inputs.map((x) => x.dtype).join(" and ")}. Use ops.cast.`);
    }
  }
  return first?.dtype ?? "float32";
}

function unary(onnx: string, accept: "float" | "number" | "bool", result?: DataType): OpRule<None> {
  return {
    shape: ([x]) => {
      const { dtype, shape } = operand(onnx, x);
      const right = accept === "bool" ? dtype === "bool" : accept === "float" ? isFloat(dtype) : dtype !== "bool";
      if (!right)
        throw new ShapeError(`${onnx}: expected a ${accept === "number" ? "numeric" : accept} tensor, got ${dtype} ${formatShape(shape)}.`);
      return [{ dtype: result ?? dtype, shape }];
    },
    lower: { onnx },
  };
}

function binary(onnx: string, operands: "number" | "bool" | "any", result?: DataType): OpRule<None> {
  return {
    shape: (inputs) => {
      const dtype = sameType(onnx, inputs);
      if (operands !== "any" && (dtype === "bool") !== (operands === "bool")) {
        throw new ShapeError(`${onnx}: expected ${operands === "bool" ? "bool" : "numeric"} operands, got ${dtype}.`);
      }
      return [
        {
          dtype: result ?? dtype,
          shape: broadcast(
            onnx,
            inputs.map((x) => x.shape),
          ),
        },
      ];
    },
    lower: { onnx },
  };
}

export const elementwiseRules: Rules<ElementwiseAttributes> = {
  Neg: unary("Neg", "number"),
  Abs: unary("Abs", "number"),
  Exp: unary("Exp", "float"),
  Log: unary("Log", "float"),
  Sqrt: unary("Sqrt", "float"),
  Reciprocal: unary("Reciprocal", "float"),
  Sin: unary("Sin", "float"),
  Cos: unary("Cos", "float"),
  Tanh: unary("Tanh", "float"),
  Sigmoid: unary("Sigmoid", "float"),
  Erf: unary("Erf", "float"),
  Relu: unary("Relu", "number"),
  Floor: unary("Floor", "float"),
  Ceil: unary("Ceil", "float"),
  Round: unary("Round", "float"),
  Sign: unary("Sign", "number"),
  Not: unary("Not", "bool"),
  IsNaN: unary("IsNaN", "float", "bool"),
  Add: {
    shape: binary("Add", "number").shape,
    lower: { emit: (emitter, inputs, node) => addedRows(emitter, node) ?? emitter.node("Add", inputs) },
  },
  Sub: binary("Sub", "number"),
  Mul: binary("Mul", "number"),
  Div: binary("Div", "number"),
  Pow: binary("Pow", "number"),
  Min: binary("Min", "number"),
  Max: binary("Max", "number"),
  Equal: binary("Equal", "any", "bool"),
  Less: binary("Less", "number", "bool"),
  LessOrEqual: binary("LessOrEqual", "number", "bool"),
  Greater: binary("Greater", "number", "bool"),
  GreaterOrEqual: binary("GreaterOrEqual", "number", "bool"),
  And: binary("And", "bool"),
  Or: binary("Or", "bool"),
  Where: {
    shape: ([condition, ...choices]) => {
      const { dtype, shape } = operand("Where", condition);
      if (dtype !== "bool") throw new ShapeError(`Where: expected a bool condition, got ${dtype} ${formatShape(shape)}.`);
      return [{ dtype: sameType("Where", choices), shape: broadcast("Where", [shape, ...choices.map((x) => x.shape)]) }];
    },
    lower: { onnx: "Where" },
  },
  Cast: {
    shape: ([x], { to }) => [{ dtype: to, shape: x?.shape ?? [] }],
    lower: { onnx: "Cast", attributes: ({ to }) => ({ to: int(dataTypes[to].onnx) }) },
  },
};

/** x + y · factor, a factor for each row (the last axis), is one pass in ONNX Runtime instead of two. null: something else is added. */
function addedRows(emitter: Emitter, { inputs: [a, b] }: TypedNode<None>): readonly string[] | null {
  for (const [x, product] of [
    [a, b],
    [b, a],
  ]) {
    if (emitter.target !== "onnxruntime" || x?.dtype !== "float32" || x.shape.at(-1) === 1 || product?.node?.op !== "Mul") continue;
    const factor = product.node.inputs.find(({ shape }) => shapeEquals(shape, [...x.shape.slice(0, -1), 1]));
    const y = product.node.inputs.find(({ shape }) => shapeEquals(shape, x.shape));
    if (y && factor)
      return emitter.node(
        "GatedAdd",
        [x, y, factor].map((value) => emitter.lower(value)),
        {},
        { domain: "com.microsoft" },
      );
  }
  return null;
}

/** What operators take where a number makes sense: it becomes a constant of the other operand's type. */
export type Operand = Value | number;

export function operands(a: Operand, b: Operand): readonly [Value, Value] {
  if (a instanceof Value) return [a, b instanceof Value ? b : constant(b, { dtype: a.dtype })];
  if (b instanceof Value) return [constant(a, { dtype: b.dtype }), b];
  return [constant(a), constant(b)];
}

type UnaryOp =
  | "Neg"
  | "Abs"
  | "Exp"
  | "Log"
  | "Sqrt"
  | "Reciprocal"
  | "Sin"
  | "Cos"
  | "Tanh"
  | "Sigmoid"
  | "Erf"
  | "Relu"
  | "Floor"
  | "Ceil"
  | "Round"
  | "Sign"
  | "Not"
  | "IsNaN";
type BinaryOp =
  | "Add"
  | "Sub"
  | "Mul"
  | "Div"
  | "Pow"
  | "Min"
  | "Max"
  | "Equal"
  | "Less"
  | "LessOrEqual"
  | "Greater"
  | "GreaterOrEqual"
  | "And"
  | "Or";
const one =
  (op: UnaryOp) =>
  (x: Value): Value =>
    apply(elementwiseRules, op, [x], none);
const two =
  (op: BinaryOp) =>
  (a: Operand, b: Operand): Value =>
    apply(elementwiseRules, op, operands(a, b), none);

type Unary = (x: Value) => Value;
type Binary = (a: Operand, b: Operand) => Value;
export const neg: Unary = one("Neg");
export const abs: Unary = one("Abs");
export const exp: Unary = one("Exp");
export const log: Unary = one("Log");
export const sqrt: Unary = one("Sqrt");
export const reciprocal: Unary = one("Reciprocal");
export const sin: Unary = one("Sin");
export const cos: Unary = one("Cos");
export const tanh: Unary = one("Tanh");
export const sigmoid: Unary = one("Sigmoid");
export const erf: Unary = one("Erf");
export const relu: Unary = one("Relu");
export const floor: Unary = one("Floor");
export const ceil: Unary = one("Ceil");
/** Rounds ties to even. */
export const round: Unary = one("Round");
export const sign: Unary = one("Sign");
export const not: Unary = one("Not");
export const isNan: Unary = one("IsNaN");
export const add: Binary = two("Add");
export const sub: Binary = two("Sub");
export const mul: Binary = two("Mul");
export const div: Binary = two("Div");
export const pow: Binary = two("Pow");
export const minimum: Binary = two("Min");
export const maximum: Binary = two("Max");
export const equal: Binary = two("Equal");
export const less: Binary = two("Less");
export const lessOrEqual: Binary = two("LessOrEqual");
export const greater: Binary = two("Greater");
export const greaterOrEqual: Binary = two("GreaterOrEqual");
export const and: Binary = two("And");
export const or: Binary = two("Or");

/** `condition ? a : b`, element by element. */
export function where(condition: Value, a: Operand, b: Operand): Value {
  return apply(elementwiseRules, "Where", [condition, ...operands(a, b)], none);
}

export function clip(x: Value, { min, max }: { readonly min?: number; readonly max?: number }): Value {
  const raised = min === undefined ? x : maximum(x, min);
  return max === undefined ? raised : minimum(raised, max);
}

/** Converts to another type; a value that has it already is returned as it is. */
export function cast(x: Value, to: DataType): Value {
  return x.dtype === to ? x : apply(elementwiseRules, "Cast", [x], { to });
}
