import { availableParallelism } from "node:os";
import { type DataType, type ExternalData, type GraphDefinition, type LoweredGraph, lower, serialize } from "@waggle/graph";
import { Channel } from "./channel.ts";
import { placeWeights, type WeightPlacement, type WeightPlacer, type WeightToPlace } from "./placement.ts";
import type { OnProgress } from "./progress.ts";
import { ChannelResident, type Resident, rowsOf } from "./resident.ts";
import { RuntimeError, throwIfAny, unknownOptions } from "./runtime-error.ts";
import { ChannelSession, type Session } from "./session.ts";
import { checkedType } from "./tensors.ts";
import { inlineTransport, workerTransport } from "./transport.ts";
import { byteLengthOf } from "./weight-bytes.ts";

/** ONNX Runtime's execution providers, by its own names. Which of them work is known when a graph is compiled. */
const DEVICES = ["cpu", "webgpu", "cuda", "tensorrt", "dml", "coreml", "qnn"] as const;
export type Device = (typeof DEVICES)[number];

export interface RuntimeOptions {
  /** Threads that share the work of one operator. Default: as many as the process may use. */
  readonly threads?: number;
  /** Default "cpu". What the device cannot do runs on the CPU. */
  readonly device?: Device;
  /** `false` runs in this thread, which blocks it during each run: for tests, and for training, where tensors then need no copy. */
  readonly worker?: boolean;
}

export interface CompileOptions {
  readonly weights?: WeightPlacer;
  /**
   * Keep a copy of every matrix in the order that products of several rows like best: 1.5 × faster from 2 rows to
   * about 16 (batches of requests), for as much memory again and a slower start. Default `false`.
   */
  readonly prepack?: boolean;
  /**
   * Keep the memory of intermediate results from one run to the next, for runs of similar size, as in training: giving
   * hundreds of megabytes back and taking them anew costs a tenth of a step. Default `false`: lengths that differ would
   * leave the longest's memory behind for ever.
   */
  readonly arena?: boolean;
  /** Record the time of every operator, for `session.profile()`. */
  readonly profile?: boolean;
  readonly signal?: AbortSignal;
  readonly onProgress?: OnProgress;
}

type NamesOf<Values> = Extract<keyof Values, string>;

/** One worker thread with ONNX Runtime, for any number of sessions and the tensors that live beside them. */
export class Runtime implements Disposable {
  readonly #channel: Channel;
  readonly #threads: number;
  readonly #device: Device;
  /** What sessions hold on disk, where it could not be given back when they were made. */
  readonly #placements = new Set<WeightPlacement>();

  constructor(options: RuntimeOptions = {}) {
    throwIfAny("options", "Runtime", runtimeProblems(options));
    const { threads = availableParallelism(), device = "cpu", worker = true } = options;
    this.#threads = threads;
    this.#device = device;
    this.#channel = worker ? new Channel(workerTransport, true) : new Channel(inlineTransport, false);
  }

  /** Makes a session. Its weights are found by `weights`; see {@link placeWeights} for what happens by default. */
  async compile<const Graph extends GraphDefinition>(
    graph: Graph,
    options: CompileOptions = {},
  ): Promise<Session<NamesOf<Graph["inputs"]>, NamesOf<Graph["outputs"]>>> {
    const name = graph.name ?? "graph";
    throwIfAny("options", name, unknownOptions(options, ["weights", "prepack", "arena", "profile", "signal", "onProgress"]));
    this.#channel.throwIfEnded();
    const { weights: placer = placeWeights(), prepack = false, arena = false, profile = false, signal, onProgress } = options;
    signal?.throwIfAborted();
    const lowered = lower(graph, "onnxruntime");
    const weights = weightsToPlace(name, lowered.weights);
    const placement = await placer(weights, { ...(signal && { signal }), ...(onProgress && { onProgress }) });
    const session = this.#channel.newId();
    try {
      signal?.throwIfAborted();
      const model = serialize(lowered, (_, weight) => placeOf(placement.place, weight));
      const total = weights.reduce((sum, { dtype, shape }) => sum + byteLengthOf(dtype, shape), 0);
      onProgress?.({ phase: "load", file: name, loaded: 0, total });
      const request = {
        session,
        name,
        model,
        folder: placement.folder,
        threads: this.#threads,
        device: this.#device,
        prepack,
        arena,
        profile,
      };
      await this.#channel.call("compile", request, { signal, transfer: [model.buffer] });
      onProgress?.({ phase: "load", file: name, loaded: total, total });
    } catch (error) {
      this.#channel.release({ sessions: [session] }); // it may come to be unseen
      throw error;
    } finally {
      placement.dispose?.();
    }
    this.#placements.add(placement);
    return new ChannelSession(this.#channel, session, name, graph, () => this.#giveBack(placement));
  }

  /** A tensor of zeros that lives where the sessions live. */
  async allocate(dtype: DataType, shape: readonly number[]): Promise<Resident> {
    const type = checkedType(dtype, "allocate");
    const wrong = shape.filter((dim) => !(Number.isSafeInteger(dim) && dim >= 0));
    if (wrong.length > 0) throw new RuntimeError("options", `allocate: ${dtype} [${shape.join(", ")}] is not a shape.`, { shape });
    const resident = this.#channel.newId();
    await this.#channel.call("allocate", { resident, type, dims: [...shape] });
    return new ChannelResident(this.#channel, resident, type, [...shape]);
  }

  /**
   * Calls `name` of a module of plain JavaScript (.mjs) where the tensors live: with views of theirs, which it may change
   * in place, and with `options`. For what a graph cannot do, as updating weights. What it returns comes back as a copy.
   */
  async kernel(
    module: URL,
    name: string,
    tensors: Readonly<Record<string, readonly Resident[]>>,
    options: unknown = null,
    { signal }: { readonly signal?: AbortSignal } = {},
  ): Promise<unknown> {
    const plain = Object.entries(tensors).map(([key, list]) => [key, list.map((one) => rowsOf(one, this.#channel, `${name}: ${key}`))]);
    const request = { module: module.href, name, tensors: Object.fromEntries(plain), options };
    return (await this.#channel.call("kernel", request, { signal })).result;
  }

  /** Rejects everything that is pending, and frees all sessions and residents. Twice is harmless. */
  dispose(): void {
    this.#channel.dispose().finally(() => {
      for (const placement of this.#placements) this.#giveBack(placement);
    });
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #giveBack(placement: WeightPlacement): void {
    placement.dispose?.();
    this.#placements.delete(placement);
  }
}

function runtimeProblems(options: RuntimeOptions): readonly string[] {
  const problems = [...unknownOptions(options, ["threads", "device", "worker"])];
  const { threads, device, worker } = options;
  if (threads !== undefined && !(Number.isInteger(threads) && threads >= 1)) {
    problems.push(`threads: expected a whole number ≥ 1, got ${threads}.`);
  }
  if (device !== undefined && !DEVICES.includes(device)) {
    problems.push(`device: expected one of ${DEVICES.join(", ")}, got ${JSON.stringify(device)}.`);
  }
  if (worker !== undefined && typeof worker !== "boolean") problems.push(`worker: expected true or false, got ${JSON.stringify(worker)}.`);
  return problems;
}

function weightsToPlace(graph: string, weights: LoweredGraph["weights"]): readonly WeightToPlace[] {
  const problems: string[] = [];
  const found: WeightToPlace[] = [];
  for (const { name, weight } of weights) {
    const { source, dtype, shape } = weight;
    if (!source) problems.push(`${name}: ${dtype} [${shape.join(", ")}] has no data. Load a state_dict or initialize its module first.`);
    else if (source.shape.join() !== shape.join())
      problems.push(`${name}: expected [${shape.join(", ")}], its source has [${source.shape.join(", ")}].`);
    else found.push({ name, source, dtype, shape });
  }
  throwIfAny("weights", graph, problems);
  return found;
}

function placeOf(place: WeightPlacement["place"], name: string): ExternalData | Uint8Array {
  const found = place.get(name);
  if (!found) throw new RuntimeError("weights", `${name}: the weight placer gave it no place.`, { name });
  return found;
}
