/** Constant folding where it shrinks the graph: small constants that are only cast, reshaped or combined with a scalar. */
import { arrayOf, type TypedArray } from "./data-type.ts";
import { isStatic } from "./dim.ts";
import { ConstantValue, constant, type Node } from "./value.ts";

/** Results above this many elements stay as nodes: ONNX Runtime folds them in memory, the file stays small. */
const LARGEST = 4096;

const binary: Readonly<Record<string, (a: number, b: number) => number>> = {
  Add: (a, b) => a + b,
  Sub: (a, b) => a - b,
  Mul: (a, b) => a * b,
  Div: (a, b) => a / b,
};

/** The node's result when all of its operands are constants and its operator is cheap to compute here. */
export function foldConstants(node: Node): ConstantValue | null {
  const [output] = node.outputs;
  const operands = node.inputs.filter((input) => input instanceof ConstantValue);
  if (
    output === undefined ||
    node.outputs.length > 1 ||
    node.inputs.length === 0 ||
    operands.length !== node.inputs.length ||
    !isStatic(output.shape)
  )
    return null;
  const length = output.shape.reduce((product, dim) => product * dim, 1);
  const [a, b] = operands;
  if (length > LARGEST || a === undefined) return null;
  if (node.op === "Reshape") return new ConstantValue(a.data, a.dtype, output.shape);
  const compute = binary[node.op];
  if (
    compute === undefined ||
    b === undefined ||
    a.dtype !== "float32" ||
    a.data.length !== length ||
    (b.data.length !== 1 && b.data.length !== length)
  )
    return null;
  if (b.data.length === length && b.shape.join() !== a.shape.join()) return null;
  const data: TypedArray = arrayOf("float32", length);
  for (let i = 0; i < length; i += 1) data[i] = compute(Number(a.data[i]), Number(b.data[b.data.length === 1 ? 0 : i]));
  return constant(data, { shape: output.shape });
}
