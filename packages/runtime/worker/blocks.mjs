/**
 * Copies between dense tensors. Every bound is checked before the first element moves, because an out-of-range
 * position in a KV cache would otherwise be somebody else's conversation.
 *
 * @import { PlainTensor, TensorData } from "../src/protocol.ts"
 * @typedef {{ target: PlainTensor, first: number, rows: number }} Place  rows of a tensor, along axis 0
 * @typedef {{ axis: number, offset: readonly number[], rows: readonly number[] | null }} Block
 * @typedef {{ axis: number, start: number, count: number }} Part  `count` positions from `start` on, along an axis beyond the first
 */
import { Failure } from "./failure.mjs";

/** @param {readonly number[]} dims */
export const sizeOf = (dims) => dims.reduce((product, dim) => product * dim, 1);

/**
 * Throws unless `source` fits where `block` says.
 *
 * @param {string} what  how errors call the source
 * @param {PlainTensor} source
 * @param {Place} place
 * @param {Block} block
 */
export function checkBlock(what, source, { target, first, rows: targetRows }, { axis, offset, rows }) {
  const into = target.dims.map((dim, i) => (i === 0 ? targetRows : dim));
  const where = `${what} ${source.type} [${source.dims}] into ${target.type} [${into}] at axis ${axis}`;
  const fail = (/** @type {string} */ problem) => {
    throw new Failure("resident", `${where}: ${problem}`, { source: source.dims, target: into, axis, offset, rows, first });
  };
  if (source.type !== target.type) fail("the element types differ.");
  if (source.dims.length !== into.length) fail("the ranks differ.");
  if (!(Number.isInteger(axis) && axis >= 0 && axis < into.length)) fail(`axis must be 0 … ${into.length - 1}.`);
  const batch = axis === 0 ? 1 : (source.dims[0] ?? 0);
  source.dims.forEach((dim, i) => {
    if (i !== axis && dim !== into[i]) fail(`axis ${i} has ${dim} entries, the target has ${into[i]}.`);
  });
  if (offset.length !== batch) fail(`expected ${batch} offsets (one per batch row), got ${offset.length}.`);
  if (rows && rows.length !== batch) fail(`expected ${batch} row counts (one per batch row), got ${rows.length}.`);
  const available = source.dims[axis] ?? 0;
  const capacity = into[axis] ?? 0;
  offset.forEach((start, b) => {
    const count = rows?.[b] ?? available;
    if (!(Number.isInteger(count) && count >= 0 && count <= available)) fail(`rows[${b}] = ${count}, expected 0 … ${available}.`);
    if (!(Number.isInteger(start) && start >= 0)) fail(`offset[${b}] = ${start}, expected an integer ≥ 0.`);
    if (start + count > capacity) fail(`offset[${b}] = ${start} and ${count} rows end at ${start + count}, beyond ${capacity}.`);
  });
}

/**
 * Writes what {@link checkBlock} has accepted.
 *
 * @param {PlainTensor} source
 * @param {Place} place
 * @param {Block} block
 */
export function writeBlock(source, { target, first }, { axis, offset, rows }) {
  const from = source.dims[axis] ?? 0;
  const to = target.dims[axis] ?? 0;
  const inner = sizeOf(source.dims.slice(axis + 1));
  const outer = axis === 0 ? 1 : sizeOf(source.dims.slice(1, axis));
  const base = axis === 0 ? first : first * outer * to;
  offset.forEach((start, b) => {
    const count = (rows?.[b] ?? from) * inner;
    for (let o = b * outer; o < (b + 1) * outer; o++) {
      move(source.data, o * from * inner, target.data, (base + (axis === 0 ? 0 : o * to) + start) * inner, count);
    }
  });
}

/**
 * Row `i` of `target` becomes row `rows[i]` of `source`. Beyond axis 0 `target` may be larger: the rest keeps what it held.
 *
 * @param {PlainTensor} source
 * @param {PlainTensor} target
 * @param {readonly number[]} rows
 * @param {Part | null} part  copies this much of each row only
 */
export function copyRows(source, target, rows, part) {
  const rowOf = (/** @type {PlainTensor} */ tensor) => sizeOf(tensor.dims.slice(1));
  const [fromRow, toRow] = [rowOf(source), rowOf(target)];
  const same = source === target;
  const changed = (/** @type {number} */ i) => !same || rows[i] !== i;
  // Rows of one tensor among themselves: one may be overwritten before it is read.
  const data = same && rows.some((row, i) => changed(i) && changed(row) && row < rows.length) ? source.data.slice() : source.data;
  rows.forEach((row, i) => {
    if (!changed(i)) return;
    const [from, to] = [
      { data, dims: source.dims, at: row * fromRow },
      { data: target.data, dims: target.dims, at: i * toRow },
    ];
    if (part) copyPart(from, to, part);
    else copyCorner(from, to, 1);
  });
}

/**
 * @param {Corner} source
 * @param {Corner} target
 * @param {Part} part
 */
function copyPart(source, target, { axis, start, count }) {
  const inner = sizeOf(source.dims.slice(axis + 1));
  const outer = sizeOf(source.dims.slice(1, axis));
  const [from, to] = [(source.dims[axis] ?? 0) * inner, (target.dims[axis] ?? 0) * inner];
  for (let o = 0; o < outer; o++) {
    move(source.data, source.at + o * from + start * inner, target.data, target.at + o * to + start * inner, count * inner);
  }
}

/**
 * @typedef {{ data: TensorData, dims: readonly number[], at: number }} Corner
 * @param {Corner} source
 * @param {Corner} target
 * @param {number} axis  everything from this axis on is copied
 */
function copyCorner(source, target, axis) {
  const fromStride = sizeOf(source.dims.slice(axis));
  if (source.dims.slice(axis + 1).every((dim, i) => dim === target.dims[axis + 1 + i])) {
    move(source.data, source.at, target.data, target.at, fromStride); // from here on both are contiguous
    return;
  }
  const count = source.dims[axis] ?? 0;
  const [from, to] = [fromStride / count, sizeOf(target.dims.slice(axis + 1))];
  for (let i = 0; i < count; i++) {
    copyCorner({ ...source, at: source.at + i * from }, { ...target, at: target.at + i * to }, axis + 1);
  }
}

/**
 * @param {TensorData} source
 * @param {number} from
 * @param {TensorData} target
 * @param {number} to
 * @param {number} count
 */
function move(source, from, target, to, count) {
  if (count < 16) {
    // A new key is one element per row of the cache: a view for each would cost more than the copy.
    for (let i = 0; i < count; i++) target[to + i] = /** @type {never} */ (source[from + i]);
  } else {
    target.set(/** @type {never} */ (source.subarray(from, from + count)), to);
  }
}
