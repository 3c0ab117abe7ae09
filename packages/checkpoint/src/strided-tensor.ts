/**
 * Tensors that do not lie in a row: a transposed matrix, a slice of a larger one, one row expanded to many. They are
 * gathered into a dense array from the storage, of which only pieces are in memory.
 */
export interface Strided {
  readonly shape: readonly number[];
  /** In elements, as PyTorch counts. */
  readonly strides: readonly number[];
  readonly elementBytes: number;
}

const PIECE_BYTES = 4 * 2 ** 20;

/** Elements from the first to behind the last one; 0 for an empty tensor. */
export function spanOf(shape: readonly number[], strides: readonly number[]): number {
  if (shape.includes(0)) return 0;
  return shape.reduce((span, dim, axis) => span + (dim - 1) * (strides[axis] ?? 0), 1);
}

/** Whether the elements lie one behind the other, in the order of the shape. */
export function isDense(shape: readonly number[], strides: readonly number[]): boolean {
  if (shape.includes(0)) return true;
  const dense = denseStrides(shape);
  return shape.every((dim, axis) => dim === 1 || strides[axis] === dense[axis]);
}

function denseStrides(shape: readonly number[]): readonly number[] {
  const strides = shape.map(() => 1);
  for (let axis = shape.length - 2; axis >= 0; axis--) strides[axis] = (strides[axis + 1] ?? 1) * (shape[axis + 1] ?? 1);
  return strides;
}

type ReadInto = (into: Uint8Array, start: number) => Promise<void>;

/** The dense tensor. `readInto` fills bytes from a byte position on, counted from the tensor's first element. */
export async function gather({ shape, strides, elementBytes }: Strided, readInto: ReadInto): Promise<Uint8Array> {
  const dense = denseStrides(shape);
  // From the widest stride to the narrowest: then steps along the first axis read pieces of the storage in their order.
  const axes = shape
    .map((dim, axis) => ({ dim, from: strides[axis] ?? 0, to: dense[axis] ?? 1 }))
    .filter(({ dim }) => dim !== 1)
    .sort((a, b) => b.from - a.from);
  const into = new Uint8Array(shape.reduce((product, dim) => product * dim, elementBytes));
  if (into.byteLength > 0) await gatherAxes(axes, 0, 0, { into, elementBytes, readInto });
  return into;
}

interface Gathering {
  readonly into: Uint8Array;
  readonly elementBytes: number;
  readonly readInto: ReadInto;
}

/** Moves the elements along `axes`, the first of which is at `read` in the storage and at `write` in the result. */
async function gatherAxes(axes: readonly Axis[], read: number, write: number, gathering: Gathering): Promise<void> {
  const { into, elementBytes, readInto } = gathering;
  const [first = { dim: 1, from: 0, to: 0 }, ...inner] = axes;
  const innerSpan = spanOf(
    inner.map(({ dim }) => dim),
    inner.map(({ from }) => from),
  );
  const room = Math.floor(PIECE_BYTES / elementBytes) - innerSpan;
  if (room < 0 && inner.length > 0) {
    for (let index = 0; index < first.dim; index++) {
      await gatherAxes(inner, read + index * first.from, write + index * first.to, gathering);
    }
    return;
  }
  const steps = Math.min(first.dim, Math.floor(Math.max(0, room) / Math.max(1, first.from)) + 1);
  const piece = new Uint8Array(((steps - 1) * first.from + innerSpan) * elementBytes);
  for (let step = 0; step < first.dim; step += steps) {
    const dim = Math.min(steps, first.dim - step);
    const bytes = piece.subarray(0, ((dim - 1) * first.from + innerSpan) * elementBytes);
    await readInto(bytes, (read + step * first.from) * elementBytes);
    copyElements([{ ...first, dim }, ...inner], bytes, into, write + step * first.to, elementBytes);
  }
}

interface Axis {
  readonly dim: number;
  readonly from: number;
  readonly to: number;
}

function copyElements(axes: readonly Axis[], from: Uint8Array, into: Uint8Array, start: number, elementBytes: number): void {
  const [source, target] = [elementsOf(from, elementBytes), elementsOf(into, elementBytes)];
  const copy = (depth: number, read: number, write: number): void => {
    const axis = axes[depth];
    if (axis === undefined) {
      target[write] = source[read] as number;
      return;
    }
    const innermost = depth === axes.length - 1;
    for (let index = 0; index < axis.dim; index++) {
      if (innermost) target[write + index * axis.to] = source[read + index * axis.from] as number;
      else copy(depth + 1, read + index * axis.from, write + index * axis.to);
    }
  };
  copy(0, 0, start);
}

/** The elements as integers of their width: whatever they are, their bits are moved. */
function elementsOf(
  { buffer, byteOffset, byteLength }: Uint8Array,
  elementBytes: number,
): Uint8Array | Uint16Array | Uint32Array | BigUint64Array {
  if (elementBytes === 1) return new Uint8Array(buffer, byteOffset, byteLength);
  if (elementBytes === 2) return new Uint16Array(buffer, byteOffset, byteLength / 2);
  if (elementBytes === 4) return new Uint32Array(buffer, byteOffset, byteLength / 4);
  return new BigUint64Array(buffer, byteOffset, byteLength / 8);
}
