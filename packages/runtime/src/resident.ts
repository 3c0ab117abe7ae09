/**
 * Resident tensors: they live beside the sessions and never cross into the main thread unless read. A KV cache and
 * image features are fed from there as views, and outputs are written into them there.
 */
import type { Tensor } from "onnxruntime-common";
import type { Channel } from "./channel.ts";
import type { PlainWrite, RowsOf, TensorType } from "./protocol.ts";
import { RuntimeError, throwIfAny, unknownOptions } from "./runtime-error.ts";
import { detachable, toPlain, toTensor } from "./tensors.ts";

/** Where along `axis` a tensor goes, for each of its batch rows (axis 0). */
export interface BlockPosition {
  readonly axis: number;
  /** The position along `axis`, for every batch row. For axis 0 one number: where the first row goes. */
  readonly offset: readonly number[];
  /** How much of the axis is copied, from its start: for all batch rows, or for each. Default: all of it. */
  readonly rows?: number | readonly number[];
}

export interface CopyOptions {
  /** Row `i` of the target becomes row `rows[i]` of the source. Default: all rows, in order. */
  readonly rows?: readonly number[];
  /** Copies `count` positions from `start` on along an axis beyond the first, and leaves the others of each row as they are. */
  readonly part?: { readonly axis: number; readonly start: number; readonly count: number };
}

/** Some rows of a resident tensor, along axis 0. Nothing is copied. */
export interface ResidentView {
  readonly resident: Resident;
  readonly firstRow: number;
  readonly rows: number;
  readonly dtype: TensorType;
  readonly shape: readonly number[];
}

/** A tensor that lives where the sessions live. */
export interface Resident extends Disposable {
  readonly dtype: TensorType;
  readonly shape: readonly number[];
  view(firstRow: number, rows: number): ResidentView;
  /**
   * `target` may be this tensor: rows change places, and a row that stays costs nothing. Beyond axis 0 it may be larger:
   * what this tensor has not is left as it was, so a KV cache grows by being copied into a larger one.
   */
  copyInto(target: Resident, options?: CopyOptions): Promise<void>;
  write(tensor: Tensor, position: BlockPosition): Promise<void>;
  /** A copy of all of it, or of some rows. */
  read(firstRow?: number, rows?: number): Promise<Tensor>;
  /** Frees it, after everything that was asked before. Twice is harmless. */
  dispose(): void;
}

export class ChannelResident implements Resident {
  readonly channel: Channel;
  readonly id: number;
  readonly dtype: TensorType;
  readonly shape: readonly number[];
  #disposed = false;

  constructor(channel: Channel, id: number, dtype: TensorType, shape: readonly number[]) {
    this.channel = channel;
    this.id = id;
    this.dtype = dtype;
    this.shape = shape;
  }

  view(firstRow: number, rows: number): ResidentView {
    const available = this.shape[0];
    if (available === undefined) throw new RuntimeError("resident", `${this}: a scalar has no rows to view.`);
    const whole = Number.isInteger(firstRow) && Number.isInteger(rows) && firstRow >= 0 && rows >= 0;
    if (!whole || firstRow + rows > available) {
      const message = `${this}: view(${firstRow}, ${rows}) is outside its ${available} rows.`;
      throw new RuntimeError("resident", message, { firstRow, rows, available });
    }
    return { resident: this, firstRow, rows, dtype: this.dtype, shape: [rows, ...this.shape.slice(1)] };
  }

  async copyInto(target: Resident, options: CopyOptions = {}): Promise<void> {
    throwIfAny("options", "copyInto", unknownOptions(options, ["rows", "part"]));
    this.throwIfDisposed();
    const into = residentOf(target, this.channel, "copyInto: target");
    const rows = options.rows ?? Array.from({ length: this.shape[0] ?? 1 }, (_, row) => row);
    const part = options.part ?? null;
    checkCopy(this, into, rows, part);
    await this.channel.call("copy", { from: this.id, into: into.id, rows, part });
  }

  async write(tensor: Tensor, position: BlockPosition): Promise<void> {
    throwIfAny("options", "write", unknownOptions(position, ["axis", "offset", "rows"]));
    const into = rowsOf(this, this.channel, "write");
    const { buffer, ...plain } = detachable(toPlain(tensor, "write"));
    await this.channel.call("write", { tensor: plain, into, ...plainPosition(position, plain.dims[0] ?? 1) }, { transfer: [buffer] });
  }

  async read(firstRow?: number, rows?: number): Promise<Tensor> {
    const all = this.shape[0];
    const part = all === undefined ? this : this.view(firstRow ?? 0, rows ?? all - (firstRow ?? 0));
    return toTensor(await this.channel.call("read", rowsOf(part, this.channel, "read")));
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.channel.release({ residents: [this.id] });
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  throwIfDisposed(): void {
    this.channel.throwIfEnded();
    if (this.#disposed) throw new RuntimeError("disposed", `${this} is disposed.`);
  }

  toString(): string {
    return `resident ${this.dtype} [${this.shape.join(", ")}]`;
  }
}

/** The executor's name for a resident tensor or a view of one; throws if it is disposed, or another runtime's. */
export function rowsOf(rows: Resident | ResidentView, channel: Channel, where: string): RowsOf {
  if ("resident" in rows) {
    const { id } = residentOf(rows.resident, channel, where);
    return { resident: id, first: rows.firstRow, rows: rows.rows };
  }
  const { id, shape } = residentOf(rows, channel, where);
  return { resident: id, first: 0, rows: shape[0] ?? 1 };
}

export function plainPosition({ axis, offset, rows }: BlockPosition, batch: number): Omit<PlainWrite, "into"> {
  const each = typeof rows === "number" ? Array.from({ length: axis === 0 ? 1 : batch }, () => rows) : (rows ?? null);
  return { axis, offset, rows: each };
}

function residentOf(resident: Resident, channel: Channel, where: string): ChannelResident {
  if (!(resident instanceof ChannelResident) || resident.channel !== channel) {
    throw new RuntimeError("resident", `${where}: belongs to another Runtime. Allocate it with the one that uses it.`);
  }
  resident.throwIfDisposed();
  return resident;
}

function checkCopy(source: ChannelResident, target: ChannelResident, rows: readonly number[], part: CopyOptions["part"] | null): void {
  const problems: string[] = [];
  if (source.dtype !== target.dtype) problems.push("the element types differ.");
  if (source.shape.length !== target.shape.length) problems.push("the ranks differ.");
  source.shape.forEach((dim, axis) => {
    const room = target.shape[axis] ?? 0;
    if (axis > 0 && dim > room) problems.push(`axis ${axis} has ${dim} entries, the target only ${room}.`);
  });
  const [from, to] = [source.shape[0] ?? 1, target.shape[0] ?? 1];
  if (rows.length > to) problems.push(`${rows.length} rows, the target has only ${to}.`);
  const wrong = rows.filter((row) => !(Number.isInteger(row) && row >= 0 && row < from));
  if (wrong.length > 0) problems.push(`rows ${wrong.join(", ")} are not among the source's ${from}.`);
  if (part) problems.push(...partProblems(source.shape, target.shape, part));
  throwIfAny("resident", `copy of ${source} into ${target}`, problems);
}

function partProblems(
  source: readonly number[],
  target: readonly number[],
  { axis, start, count }: NonNullable<CopyOptions["part"]>,
): readonly string[] {
  const length = source[axis];
  if (!Number.isInteger(axis) || axis < 1 || length === undefined) return [`part: axis must be 1 … ${source.length - 1}, got ${axis}.`];
  const problems: string[] = [];
  const whole = Number.isInteger(start) && Number.isInteger(count) && start >= 0 && count >= 0;
  if (!whole || start + count > length)
    problems.push(`part: ${count} positions from ${start} on are not among the ${length} of axis ${axis}.`);
  source.forEach((dim, i) => {
    if (i > 0 && i !== axis && dim !== target[i]) problems.push(`part: axis ${i} has ${dim} entries, the target has ${target[i]}.`);
  });
  return problems;
}
