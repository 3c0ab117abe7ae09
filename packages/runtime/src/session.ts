import type { DataType, GraphDefinition, Shape, Value } from "@waggle/graph";
import type { Tensor } from "onnxruntime-common";
import type { Channel } from "./channel.ts";
import { type Feed, feedProblems, outputProblems } from "./feeds.ts";
import type { OperatorProfile, PlainTensor, RowsOf, RunReply } from "./protocol.ts";
import { type BlockPosition, ChannelResident, plainPosition, type Resident, type ResidentView, rowsOf } from "./resident.ts";
import { RuntimeError, throwIfAny, unknownOptions } from "./runtime-error.ts";
import { detachable, toPlain, toTensor } from "./tensors.ts";

export interface ValueInfo {
  readonly dtype: DataType;
  readonly shape: Shape;
}

export interface OutputWrite<Output extends string = string> extends BlockPosition {
  readonly output: Output;
  readonly into: Resident | ResidentView;
}

export interface RunOptions<Kept extends string, Written extends string, Fetched extends string> {
  /** Rejects at once with its reason. A run that has begun ends unseen; what it was to write may be written. */
  readonly signal?: AbortSignal;
  /** Outputs that come back as tensors. Default: all that are neither kept nor written. */
  readonly fetch?: readonly Fetched[];
  /** Outputs that stay with the sessions and come back as residents. Dispose them. */
  readonly keep?: readonly Kept[];
  /** Outputs that are written into resident tensors: all of these writes, or, if one is out of bounds, none. */
  readonly write?: readonly OutputWrite<Written>[];
}

export type RunResult<Kept extends string, Fetched extends string> = { readonly [Name in Fetched]: Tensor } & {
  readonly [Name in Kept]: Resident;
};

/** A graph that can be run. `In` and `Out` are the names of its inputs and outputs, where they are known. */
export interface Session<In extends string = string, Out extends string = string> extends Disposable {
  readonly inputs: Readonly<Record<In, ValueInfo>>;
  readonly outputs: Readonly<Record<Out, ValueInfo>>;
  run<const Kept extends Out = never, const Written extends Out = never, const Fetched extends Out = Exclude<Out, Kept | Written>>(
    feeds: Readonly<Record<In, Feed>>,
    options?: RunOptions<Kept, Written, Fetched>,
  ): Promise<RunResult<Kept, Fetched>>;
  /** Time by operator, longest first; of a session compiled with `profile: true`. Recording ends with the first call. */
  profile(): Promise<readonly OperatorProfile[]>;
  /** Frees it, after the runs that were asked before. Twice is harmless. */
  dispose(): void;
}

const OPTIONS = ["signal", "fetch", "keep", "write"];

export class ChannelSession implements Session {
  readonly inputs: Readonly<Record<string, Value>>;
  readonly outputs: Readonly<Record<string, Value>>;
  readonly #name: string;
  readonly #channel: Channel;
  readonly #id: number;
  readonly #free: () => void;
  #disposed = false;

  constructor(channel: Channel, id: number, name: string, { inputs, outputs }: GraphDefinition, free: () => void) {
    this.#channel = channel;
    this.#id = id;
    this.#name = name;
    this.#free = free;
    this.inputs = inputs;
    this.outputs = outputs;
  }

  async run<Kept extends string, Written extends string, Fetched extends string>(
    feeds: Readonly<Record<string, Feed>>,
    options: RunOptions<Kept, Written, Fetched> = {},
  ): Promise<RunResult<Kept, Fetched>> {
    this.#throwIfDisposed();
    const { signal, keep = [], write = [] } = options;
    const written = write.map(({ output }) => output);
    const rest = Object.keys(this.outputs).filter((name) => !isIn(name, keep) && !isIn(name, written));
    const fetch = options.fetch ?? rest;
    throwIfAny("feeds", this.#name, [
      ...unknownOptions(options, OPTIONS),
      ...feedProblems(this.inputs, feeds),
      ...outputProblems(Object.keys(this.outputs), fetch, keep, written),
    ]);
    const { plain, transfer } = this.#plainFeeds(feeds);
    const kept = Object.fromEntries(keep.map((name) => [name, this.#channel.newId()]));
    const request = { session: this.#id, feeds: plain, fetch, keep: kept, write: write.map((block) => this.#plainWrite(block)) };
    try {
      return this.#result(await this.#channel.call("run", request, { signal, transfer }), kept) as RunResult<Kept, Fetched>;
    } catch (error) {
      this.#channel.release({ residents: Object.values(kept) }); // the run may come to its end unseen
      throw error;
    }
  }

  async profile(): Promise<readonly OperatorProfile[]> {
    this.#throwIfDisposed();
    return this.#channel.call("profile", { session: this.#id });
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#channel.release({ sessions: [this.#id] }).then(this.#free);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #plainFeeds(feeds: Readonly<Record<string, Feed>>): { plain: Record<string, PlainTensor | RowsOf>; transfer: ArrayBuffer[] } {
    const plain: Record<string, PlainTensor | RowsOf> = {};
    const transfer: ArrayBuffer[] = [];
    for (const [name, feed] of Object.entries(feeds)) {
      const where = `${this.#name}: input ${name}`;
      if (!("dims" in feed)) {
        plain[name] = rowsOf(feed, this.#channel, where);
      } else if (this.#channel.copies) {
        const { buffer, ...copy } = detachable(toPlain(feed, where));
        plain[name] = copy;
        transfer.push(buffer);
      } else {
        plain[name] = toPlain(feed, where);
      }
    }
    return { plain, transfer };
  }

  #plainWrite(block: OutputWrite) {
    const where = `${this.#name}: output ${block.output}`;
    throwIfAny("options", where, unknownOptions(block, ["output", "into", "axis", "offset", "rows"]));
    const into = rowsOf(block.into, this.#channel, where);
    return { output: block.output, into, ...plainPosition(block, into.rows) };
  }

  #result({ outputs, kept }: RunReply, ids: Readonly<Record<string, number>>): Record<string, Tensor | Resident> {
    const result: Record<string, Tensor | Resident> = {};
    for (const [name, tensor] of Object.entries(outputs)) result[name] = toTensor(tensor);
    for (const [name, { type, dims }] of Object.entries(kept)) {
      result[name] = new ChannelResident(this.#channel, ids[name] ?? 0, type, dims);
    }
    return result;
  }

  #throwIfDisposed(): void {
    this.#channel.throwIfEnded();
    if (this.#disposed) throw new RuntimeError("disposed", `${this.#name}: the session is disposed.`);
  }
}

function isIn(name: string, names: readonly string[]): boolean {
  return names.includes(name);
}
