/**
 * Symbolic values. Calling an operator on values computes nothing: it records a node, from which the graph is
 * lowered (to run), exported, or differentiated.
 */
import { arrayOf, bfloat16Bits, type DataType, float16Bits, type TypedArray } from "./data-type.ts";
import { formatShape, type Shape } from "./dim.ts";
import type { OpRule } from "./op-rule.ts";
import { ShapeError } from "./shape-error.ts";

export interface TensorType {
  readonly dtype: DataType;
  readonly shape: Shape;
}

/** One use of an operator. `rule` is the operator's row of the rule table. */
export interface Node {
  readonly op: string;
  readonly rule: OpRule<never>;
  readonly inputs: readonly Value[];
  readonly attributes: unknown;
  readonly outputs: readonly Value[];
}

export class Value implements TensorType {
  readonly dtype: DataType;
  readonly shape: Shape;
  /** The node that computes the value; null for inputs, constants and weights. */
  readonly node: Node | null;

  constructor({ dtype, shape }: TensorType, node: Node | null = null) {
    for (const dim of shape) {
      if (typeof dim === "number" && !(Number.isSafeInteger(dim) && dim >= 0)) {
        throw new ShapeError(`Value: expected axes of whole numbers ≥ 0 or open dimensions, got ${formatShape(shape)}.`);
      }
    }
    this.dtype = dtype;
    this.shape = shape;
    this.node = node;
  }
}

export class InputValue extends Value {
  readonly name: string;

  constructor(name: string, type: TensorType) {
    super(type);
    this.name = name;
  }
}

export class ConstantValue extends Value {
  override readonly shape: readonly number[];
  readonly data: TypedArray;

  constructor(data: TypedArray, dtype: DataType, shape: readonly number[]) {
    super({ dtype, shape });
    this.shape = shape;
    this.data = data;
  }
}

/**
 * What a weight is filled from. `location` says where contiguous little-endian bytes of the stored type lie in one
 * file, so that they can be mapped instead of read; `fingerprint` identifies the content in cache keys.
 */
export interface WeightSource {
  readonly dtype: DataType;
  readonly shape: readonly number[];
  readonly location?: { readonly path: string; readonly offset: number; readonly byteLength: number };
  readonly fingerprint: string;
  read(): Promise<Uint8Array>;
}

/** A leaf that a checkpoint or an initialiser fills. Its name is given where it is loaded: a state_dict key. */
export class Weight extends Value {
  override readonly shape: readonly number[];
  /** Names the initialiser in the written graph; two weights of one name are told apart by a number. */
  label: string | null = null;
  source: WeightSource | null = null;

  constructor(shape: readonly number[], dtype: DataType = "float32") {
    super({ dtype, shape });
    this.shape = shape;
  }
}

/** A graph input. The name is the one that callers feed it by. */
export function input(name: string, dtype: DataType, shape: Shape): Value {
  return new InputValue(name, { dtype, shape });
}

type Scalar = number | bigint | boolean;

function dtypeOf(data: Scalar | readonly Scalar[] | TypedArray): DataType {
  if (data instanceof Float64Array) return "float64";
  if (data instanceof BigInt64Array) return "int64";
  if (data instanceof Int32Array) return "int32";
  if (data instanceof Uint8Array) return "uint8";
  if (data instanceof Int8Array) return "int8";
  if (data instanceof Uint16Array) return "float16";
  const first = Array.isArray(data) ? data[0] : data;
  return typeof first === "bigint" ? "int64" : typeof first === "boolean" ? "bool" : "float32";
}

/**
 * A constant: numbers become float32, bigints int64, booleans bool, unless `dtype` says otherwise. A typed array of the
 * right kind is taken as it is; a Uint16Array holds the bits of a float16 or bfloat16. A list without `shape` is a
 * vector, a scalar has shape [].
 */
export function constant(
  data: Scalar | readonly Scalar[] | TypedArray,
  { shape, dtype = dtypeOf(data) }: { readonly shape?: readonly number[]; readonly dtype?: DataType } = {},
): ConstantValue {
  const list: ArrayLike<Scalar> = ArrayBuffer.isView(data) ? data : isList(data) ? data : [data];
  const dims = shape ?? (ArrayBuffer.isView(data) || isList(data) ? [list.length] : []);
  if (dims.reduce((product, dim) => product * dim, 1) !== list.length) {
    throw new ShapeError(`constant: expected ${dims.join("×") || "1"} values for shape ${formatShape(dims)}, got ${list.length}.`);
  }
  const array = arrayOf(dtype, list.length);
  if (ArrayBuffer.isView(data) && data.constructor === array.constructor) return new ConstantValue(data, dtype, dims);
  for (let i = 0; i < list.length; i += 1) setElement(array, i, dtype, list[i] ?? 0);
  return new ConstantValue(array, dtype, dims);
}

function isList(data: Scalar | readonly Scalar[]): data is readonly Scalar[] {
  return Array.isArray(data);
}

const integerRange: { readonly [D in DataType]?: readonly [number, number] } = {
  int64: [-(2 ** 63), 2 ** 63],
  int32: [-(2 ** 31), 2 ** 31 - 1],
  int8: [-128, 127],
  uint8: [0, 255],
  bool: [0, 1],
};

function setElement(array: TypedArray, index: number, dtype: DataType, value: Scalar): void {
  const number = Number(value);
  const range = integerRange[dtype];
  if (range !== undefined && !(Number.isInteger(number) && number >= range[0] && number <= range[1])) {
    throw new ShapeError(`constant: expected ${dtype} values, whole numbers from ${range[0]} to ${range[1]}, got ${value}.`);
  }
  if (array instanceof BigInt64Array) array[index] = BigInt(value);
  else array[index] = dtype === "float16" ? float16Bits(number) : dtype === "bfloat16" ? bfloat16Bits(number) : number;
}
