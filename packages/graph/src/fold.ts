/**
 * Constant folding where it shrinks the graph: small constants that are cast, reshaped or combined element by element.
 * Only operators whose result is the same number here as in ONNX Runtime: computed in double, rounded once.
 */
import { arrayOf } from "./data-type.ts";
import { isStatic } from "./dim.ts";
import { ConstantValue, type Node, type Value } from "./value.ts";

/** Results above this many elements stay as nodes: ONNX Runtime folds them in memory, the file stays small. */
const LARGEST = 4096;

const scalar: Readonly<Record<string, (a: number, b: number) => number>> = {
  Neg: (a) => -a,
  Sqrt: (a) => Math.sqrt(a),
  Reciprocal: (a) => 1 / a,
  Cast: (a) => a,
  Add: (a, b) => a + b,
  Sub: (a, b) => a - b,
  Mul: (a, b) => a * b,
  Div: (a, b) => a / b,
};
const wholeNumbers = new Set(["Neg", "Add", "Sub", "Mul"]);

/** The node's result when all of its operands (folded themselves) are constants and its operator is cheap to compute here. */
export function foldConstants(node: Node, inputs: readonly Value[]): ConstantValue | null {
  const [output] = node.outputs;
  const operands = inputs.filter((input) => input instanceof ConstantValue);
  const [a, b] = operands;
  if (output === undefined || a === undefined || operands.length !== node.inputs.length || !isStatic(output.shape)) return null;
  const length = output.shape.reduce((product, dim) => product * dim, 1);
  if (length > LARGEST) return null;
  if (node.op === "Reshape") return new ConstantValue(a.data, a.dtype, output.shape);
  const compute = scalar[node.op];
  const numbers = operands.every(({ dtype }) => dtype === "float32" || dtype === "int64" || dtype === "int32");
  const exact = output.dtype === "float32" || (wholeNumbers.has(node.op) && output.dtype === "int64");
  if (compute === undefined || !numbers || !exact) return null;
  const data = arrayOf(output.dtype, length);
  const [left, right] = [broadcastIndex(a.shape, output.shape), broadcastIndex(b?.shape ?? [], output.shape)];
  for (let i = 0; i < length; i += 1) {
    const value = compute(Number(a.data[left(i)]), Number(b?.data[right(i)] ?? 0));
    if (data instanceof BigInt64Array) {
      if (!Number.isSafeInteger(value)) return null;
      data[i] = BigInt(value);
    } else data[i] = value;
  }
  return new ConstantValue(data, output.dtype, output.shape);
}

/** Place in the result → place in an operand that is broadcast to it. */
function broadcastIndex(from: readonly number[], to: readonly number[]): (index: number) => number {
  const offset = to.length - from.length;
  return (index) => {
    let [rest, place, stride] = [index, 0, 1];
    for (let axis = to.length - 1; axis >= offset; axis -= 1) {
      const [size = 1, own = 1] = [to[axis], from[axis - offset]];
      if (own !== 1) place += (rest % size) * stride;
      rest = Math.floor(rest / size);
      stride *= own;
    }
    return place;
  };
}
