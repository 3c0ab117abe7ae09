/**
 * Symbolic values. Calling an operator on values computes nothing: it records a node, from which the graph is
 * lowered (to run), exported, or differentiated.
 */
import { arrayOf, type DataType, type TypedArray } from "./data-type.ts";
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
 * A constant: numbers become float32, bigints int64, booleans bool, unless `dtype` says otherwise. Float16 and
 * bfloat16 are given as their bits in a Uint16Array. A list without `shape` is a vector, a scalar has shape [].
 */
export function constant(
  data: Scalar | readonly Scalar[] | TypedArray,
  { shape, dtype = dtypeOf(data) }: { readonly shape?: readonly number[]; readonly dtype?: DataType } = {},
): ConstantValue {
  const list = ArrayBuffer.isView(data) || Array.isArray(data) ? (data as ArrayLike<Scalar>) : null;
  const length = list?.length ?? 1;
  const dims = shape ?? (list === null ? [] : [length]);
  if (dims.reduce((product, dim) => product * dim, 1) !== length) {
    throw new ShapeError(`constant: expected ${dims.join("×") || "1"} values for shape ${formatShape(dims)}, got ${length}.`);
  }
  const array = arrayOf(dtype, length);
  if (ArrayBuffer.isView(data) && data.constructor === array.constructor) return new ConstantValue(data, dtype, dims);
  for (let i = 0; i < length; i += 1) {
    const value = list === null ? (data as Scalar) : list[i];
    array[i] = array instanceof BigInt64Array ? (BigInt(value ?? 0) as never) : (Number(value) as never);
  }
  return new ConstantValue(array, dtype, dims);
}
