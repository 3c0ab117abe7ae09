/**
 * The innermost part of training: a graph of loss and gradients, the parameters that it changes, the optimiser's state.
 *
 *     inputs   the objective's · scale [] · every trainable parameter
 *     outputs  loss [] (the sum, as the objective has it) · the gradient of scale · loss by every trainable parameter
 *
 * Trainable parameters are inputs of the graph and live beside the session, where a kernel updates them in place; frozen
 * ones are its weights, and no gradient is written for what only they need.
 */
import { createHash } from "node:crypto";
import { readFloat32, type TensorEntry } from "@waggle/checkpoint";
import { grad, input, ops, type Value } from "@waggle/graph";
import { computedSource, type Module, type Parameter } from "@waggle/nn";
import type { Resident, Runtime, Session, WeightPlacer } from "@waggle/runtime";
import { Tensor } from "onnxruntime-common";
import type { MicroBatch, Objective } from "./objective.ts";
import { type Optimizer, type Rate, ratesOf } from "./optimizer.ts";
import { TrainingError } from "./training-error.ts";

const KERNEL = new URL("../worker/optimizer.mjs", import.meta.url);

export interface TrainerOptions {
  readonly runtime: Runtime;
  readonly module: Module;
  /** By path. Each needs values: load or initialise the module first. */
  readonly trainable: ReadonlyMap<string, Parameter>;
  readonly objective: Objective;
  readonly optimizer: Optimizer;
  /** The largest global norm of the gradients; larger ones are scaled down to it. Default: no clipping. */
  readonly clip?: number | undefined;
  /**
   * "targets": every target of a step counts the same, as in transformers today. "micro-batches": the mean of the
   * micro-batches' means, as the originals had it. They differ where micro-batches have different numbers of targets.
   */
  readonly average?: "targets" | "micro-batches" | undefined;
  readonly weights?: WeightPlacer | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface StepResult {
  /** Averaged as the gradient is. */
  readonly loss: number;
  /** Of each micro-batch, by its own targets. */
  readonly microLosses: readonly number[];
  /** Global L2 norm before clipping. */
  readonly gradNorm: number;
}

export class Trainer implements Disposable {
  readonly #options: TrainerOptions;
  readonly #session: Session;
  readonly #paths: readonly string[];
  readonly #rates: readonly Rate[];
  readonly #parameters: readonly Resident[];
  readonly #state: Readonly<Record<string, readonly Resident[]>>;
  readonly #lossOnly = new Map<Objective, Session>();
  #steps = 0;

  private constructor(
    options: TrainerOptions,
    session: Session,
    rates: readonly Rate[],
    parameters: readonly Resident[],
    state: Trainer["state"],
  ) {
    this.#options = options;
    this.#session = session;
    this.#paths = [...options.trainable.keys()];
    this.#rates = rates;
    this.#parameters = parameters;
    this.#state = state;
  }

  static async create(options: TrainerOptions): Promise<Trainer> {
    const { runtime, module, trainable, objective, optimizer, weights, signal } = options;
    const rates = ratesOf(optimizer, module, trainable);
    const held: Resident[] = [];
    const hold = async (shape: readonly number[]): Promise<Resident> => {
      const resident = await runtime.allocate("float32", shape);
      held.push(resident);
      return resident;
    };
    try {
      const parameters: Resident[] = [];
      for (const [path, parameter] of trainable) {
        const resident = await hold(parameter.shape);
        await runtime.kernel(KERNEL, "assign", { tensors: [resident] }, { values: [await valuesOf(path, parameter)] });
        parameters.push(resident);
      }
      const state: Record<string, readonly Resident[]> = {};
      for (const name of optimizer.state) {
        const list: Resident[] = [];
        for (const { shape } of trainable.values()) list.push(await hold(shape));
        state[name] = list;
      }
      const graph = gradientGraph(objective, trainable);
      const session = await runtime.compile(graph, { arena: true, ...(weights && { weights }), ...(signal && { signal }) });
      return new Trainer(options, session, rates, parameters, state);
    } catch (error) {
      for (const resident of held) resident.dispose();
      throw error;
    }
  }

  /** Optimiser steps so far. */
  get steps(): number {
    return this.#steps;
  }

  /** Parameters by path, where they live. */
  get parameters(): ReadonlyMap<string, Resident> {
    return new Map(this.#paths.map((path, i) => [path, this.#parameters[i] as Resident]));
  }

  /** The optimiser's tensors by name, in the order of the parameters. */
  get state(): Readonly<Record<string, readonly Resident[]>> {
    return this.#state;
  }

  /** Goes on after `steps` steps with the optimiser's tensors of a checkpoint, `<state>.<path>`. */
  async restore(steps: number, tensors: ReadonlyMap<string, TensorEntry>): Promise<void> {
    for (const [name, list] of Object.entries(this.#state)) {
      for (const [i, resident] of list.entries()) {
        const entry = tensors.get(`${name}.${this.#paths[i]}`);
        if (entry) await this.#options.runtime.kernel(KERNEL, "assign", { tensors: [resident] }, { values: [await readFloat32(entry)] });
      }
    }
    this.#steps = steps;
  }

  /**
   * One optimiser step over all targets of the micro-batches. `factor` is the schedule's.
   * @throws TrainingError "not-finite", with parameters and state as they were before the step.
   */
  async step(microBatches: readonly MicroBatch[], factor = 1, signal?: AbortSignal): Promise<StepResult> {
    const { runtime, optimizer, clip } = this.#options;
    const { loss, microLosses, gradients } = await this.#gradients(microBatches, signal);
    try {
      const { norm, notFinite } = (await runtime.kernel(KERNEL, "norm", { gradients })) as { norm: number; notFinite: readonly number[] };
      if (!Number.isFinite(loss) || notFinite.length > 0) throw this.#notFinite(loss, notFinite);
      const shrink = clip === undefined ? 1 : Math.min(1, clip / (norm + 1e-6));
      const groups = this.#rates.map(({ lr, weight_decay }) => ({ lr: lr * factor, weight_decay }));
      const options = { ...optimizer.settings, step: this.#steps + 1, factor: shrink, groups };
      await runtime.kernel(KERNEL, optimizer.kernel, { ...emptyState, ...this.#state, parameters: this.#parameters, gradients }, options);
      this.#steps += 1;
      return { loss, microLosses, gradNorm: norm };
    } finally {
      for (const gradient of gradients) gradient.dispose();
    }
  }

  /** Loss and gradients of a step that is not made; by path. */
  async gradients(
    microBatches: readonly MicroBatch[],
  ): Promise<{ readonly loss: number; readonly gradients: ReadonlyMap<string, Tensor> }> {
    const { loss, gradients } = await this.#gradients(microBatches);
    const read = new Map<string, Tensor>();
    for (const [i, gradient] of gradients.entries()) {
      read.set(this.#paths[i] ?? "", await gradient.read());
      gradient.dispose();
    }
    return { loss, gradients: read };
  }

  /** The mean loss over all targets, without learning; by another objective where the micro-batches are another task's. */
  async evaluate(
    microBatches: Iterable<MicroBatch> | AsyncIterable<MicroBatch>,
    objective: Objective = this.#options.objective,
  ): Promise<number> {
    const { runtime, trainable, weights, signal } = this.#options;
    const { inputs, loss: sum } = objective.evaluation ?? objective;
    const graph = { name: "loss", inputs: { ...inputs, ...Object.fromEntries(trainable) }, outputs: { loss: sum } };
    const session =
      this.#lossOnly.get(objective) ?? (await runtime.compile(graph, { ...(weights && { weights }), ...(signal && { signal }) }));
    this.#lossOnly.set(objective, session);
    let [loss, count] = [0, 0];
    for await (const { feeds, targets } of microBatches) {
      const used = Object.fromEntries(Object.entries(feeds).filter(([name]) => name in inputs));
      const result = await session.run({ ...used, ...this.#weights() }, signal ? { signal } : {});
      loss += Number((result.loss as Tensor).data[0]);
      count += targets;
    }
    return loss / count;
  }

  /** Copies what was learnt into the module: its parameters' values are the trained ones from now on. */
  async commit(): Promise<void> {
    let i = 0;
    for (const [path, parameter] of this.#options.trainable) {
      const { data } = await (this.#parameters[i++] as Resident).read();
      const values = data as Float32Array;
      const content = createHash("sha256").update(values).digest("hex");
      parameter.source = computedSource("float32", parameter.shape, `trained ${path} ${content}`, async () => values);
    }
  }

  dispose(): void {
    this.#session.dispose();
    for (const session of this.#lossOnly.values()) session.dispose();
    for (const resident of [...this.#parameters, ...Object.values(this.#state).flat()]) resident.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  async #gradients(microBatches: readonly MicroBatch[], signal?: AbortSignal) {
    const { runtime, average = "targets" } = this.#options;
    const all = microBatches.reduce((sum, { targets }) => sum + targets, 0);
    const empty = microBatches.some(({ targets }) => targets === 0);
    if (all === 0 || (average === "micro-batches" && empty))
      throw new TrainingError(
        "no-targets",
        "no position of the batch has a label: everything is masked (-100), so there is nothing to learn.",
      );
    const names = this.#paths.map(gradientName);
    let sums: readonly Resident[] = [];
    let loss = 0;
    const microLosses: number[] = [];
    try {
      for (const { feeds, targets } of microBatches) {
        const divisor = average === "targets" ? all : targets * microBatches.length;
        const scale = new Tensor("float32", Float32Array.of(1 / divisor), []);
        const result = await this.#session.run(
          { ...feeds, ...this.#weights(), scale },
          { keep: names, fetch: ["loss"], ...(signal && { signal }) },
        );
        const kept = names.map((name) => result[name] as unknown as Resident);
        const total = Number((result.loss as Tensor).data[0]);
        loss += total / divisor;
        microLosses.push(total / targets);
        if (sums.length === 0) {
          sums = kept;
          continue;
        }
        await runtime.kernel(KERNEL, "accumulate", { sums, gradients: kept });
        for (const gradient of kept) gradient.dispose();
      }
      return { loss, microLosses, gradients: sums };
    } catch (error) {
      for (const gradient of sums) gradient.dispose();
      throw error;
    }
  }

  #weights(): Readonly<Record<string, Resident>> {
    return Object.fromEntries(this.parameters);
  }

  #notFinite(loss: number, indices: readonly number[]): TrainingError {
    const names = indices.map((i) => this.#paths[i] ?? "");
    const shown = names.length > 6 ? `${names.slice(0, 6).join(", ")} and ${names.length - 6} more` : names.join(", ");
    const what = names.length > 0 ? `the gradient of ${shown} holds NaN or infinity` : "the loss is not finite";
    const cure = "Lower the learning rate, clip gradients, or look at the batch. Parameters are as before this step.";
    return new TrainingError("not-finite", `step ${this.#steps + 1}: loss ${loss}; ${what}. ${cure}`, { parameters: names });
  }
}

const emptyState = { exp_avg: [], exp_avg_sq: [], momentum_buffer: [] };

function gradientName(path: string): string {
  return `gradient ${path}`;
}

function gradientGraph({ inputs, loss }: Objective, trainable: ReadonlyMap<string, Parameter>) {
  const scale = input("scale", "float32", []);
  const gradients = grad(ops.mul(loss, scale), [...trainable.values()]);
  const outputs: Record<string, Value> = { loss };
  [...trainable.keys()].forEach((path, i) => {
    outputs[gradientName(path)] = gradients[i] as Value;
  });
  return { name: "training", inputs: { ...inputs, scale, ...Object.fromEntries(trainable) }, outputs };
}

/** A parameter's values, in float32. */
async function valuesOf(path: string, { source, shape }: Parameter): Promise<Float32Array> {
  if (source === null)
    throw new TrainingError("no-values", `${path} [${shape.join(", ")}] has no values. Load or initialise the module first.`);
  return readFloat32({ dtype: source.dtype, read: () => source.read() });
}
