/** One stage of a run: the graph, the data, the steps, and a checkpoint from time to time. */
import { type NamedTensor, readFloat32, type TensorEntry } from "@waggle/checkpoint";
import { weightPlacer } from "@waggle/mllm";
import { addLora, computedSource, type Module, type Parameter } from "@waggle/nn";
import type { Resident, Runtime } from "@waggle/runtime";
import type { TrainEvent } from "./log/train-event.ts";
import type { MicroBatch } from "./objective.ts";
import type { RunCheckpoints, RunPosition } from "./run-checkpoint.ts";
import { selectParameters } from "./select.ts";
import { type Stage, stepsOf } from "./stage.ts";
import type { OpenTask, TaskBatch } from "./task.ts";
import type { TrainOptions } from "./train.ts";
import { Trainer } from "./trainer.ts";

/** What all stages of a run share. */
export interface Run {
  readonly options: TrainOptions;
  readonly runtime: Runtime;
  readonly modules: Module;
  readonly checkpoints: RunCheckpoints;
  readonly fingerprint: string;
  readonly seed: number;
  readonly totalSteps: number;
  readonly featureCache: string;
  /** What learnt in the stages before, by path. */
  readonly learnt: Map<string, Parameter>;
  emit(event: TrainEvent): Promise<void>;
}

export interface StageResult {
  readonly position: RunPosition;
  /** Of the last step. */
  readonly loss: number;
}

/** Low-rank matrices that a stage puts beside the layers. */
export function addStageLora({ modules, seed }: Run, { lora }: Stage): void {
  if (lora) addLora(modules, { seed, ...lora });
}

/** Gives the modules the values of a checkpoint, in memory: its file may be removed while the run goes on. */
export async function restoreValues({ modules, learnt }: Run, tensors: ReadonlyMap<string, TensorEntry>): Promise<void> {
  for (const [path, parameter] of modules.namedParameters()) {
    const earlier = tensors.get(`earlier.${path}`);
    const entry = earlier ?? tensors.get(`parameter.${path}`);
    if (!entry) continue;
    const values = await readFloat32(entry);
    parameter.source = computedSource("float32", parameter.shape, `checkpoint ${entry.fingerprint}`, async () => values);
    if (earlier) learnt.set(path, parameter);
  }
}

export async function runStage(
  run: Run,
  stage: Stage,
  start: RunPosition,
  resumed: ReadonlyMap<string, TensorEntry> | null,
): Promise<StageResult> {
  const { modules, runtime, options } = run;
  const patterns = stage.lora ? [...stage.trainable, "lora"] : stage.trainable;
  const trainable = selectParameters(modules, patterns, `stage ${stage.name}`);
  const { model, signal } = options;
  const context = { model, modules, trainable, runtime, featureCache: run.featureCache, signal };
  const task = await stage.data.open(context);
  const validation = stage.validation ? await stage.validation.open(context) : null;
  try {
    const { optimizer, clip, average } = stage;
    using trainer = await Trainer.create({
      ...{ runtime, module: modules, trainable, objective: task.objective, optimizer, clip, average, signal },
      weights: weightPlacer(),
    });
    if (resumed) await trainer.restore(start.stageStep, resumed);
    const result = await new StageLoop(run, stage, { task, validation, trainer, trainable }).run(start);
    await trainer.commit();
    for (const [path, parameter] of trainable) run.learnt.set(path, parameter);
    return result;
  } finally {
    task.dispose();
    validation?.dispose();
  }
}

interface LoopParts {
  readonly task: OpenTask;
  readonly validation: OpenTask | null;
  readonly trainer: Trainer;
  readonly trainable: ReadonlyMap<string, Parameter>;
}

/** Samples that are shown with the model's answer at each checkpoint. */
const PREVIEWS = 3;

class StageLoop {
  readonly #run: Run;
  readonly #stage: Stage;
  readonly #parts: LoopParts;
  /** Of the steps since the last checkpoint. */
  #losses: number[] = [];
  #savedStep = -1;

  constructor(run: Run, stage: Stage, parts: LoopParts) {
    this.#run = run;
    this.#stage = stage;
    this.#parts = parts;
  }

  async run(start: RunPosition): Promise<StageResult> {
    const { signal, checkpointEvery = 500 } = this.#run.options;
    const steps = stepsOf(this.#stage);
    this.#savedStep = start.step;
    let position = start;
    let loss = Number.NaN;
    const { batchSize, order, onBroken } = this.#stage;
    const request = { batchSize, order, onBroken, seed: this.#run.seed, start: start.data };
    const source = this.#parts.task.batches(request)[Symbol.asyncIterator]();
    try {
      while (position.stageStep < steps) {
        signal?.throwIfAborted();
        const done = await this.#step(source, position, steps);
        ({ position, loss } = done);
        if (position.stageStep % checkpointEvery === 0 && position.stageStep < steps) position = await this.#save(position);
      }
    } catch (error) {
      if (signal?.aborted && position.step > this.#savedStep) await this.#save(position);
      throw error;
    } finally {
      await source.return?.();
    }
    const next = { ...position, stage: position.stage + 1, stageStep: 0, data: { epoch: 0, position: 0 } };
    return { position: await this.#save(next), loss };
  }

  async #step(source: AsyncIterator<TaskBatch>, position: RunPosition, steps: number): Promise<StageResult> {
    const { options, emit, totalSteps } = this.#run;
    const { optimizer, schedule, accumulation, name } = this.#stage;
    const began = performance.now();
    const { micro, waitMs, next } = await this.#collect(source, accumulation);
    const factor = schedule.factor(position.stageStep, steps, optimizer.lr);
    const { loss, gradNorm } = await this.#parts.trainer.step(micro, factor, options.signal);
    this.#losses.push(loss);
    const step = position.step + 1;
    const seconds = (performance.now() - began) / 1000;
    const tokensPerSecond = micro.reduce((sum, { tokens }) => sum + tokens, 0) / seconds;
    const lr = (this.#parts.trainer.rates[0]?.lr ?? optimizer.lr) * factor;
    await emit({ type: "step", record: { step, stage: name, loss, gradNorm, lr, tokensPerSecond, waitMs }, of: totalSteps });
    return { position: { ...position, step, stageStep: position.stageStep + 1, data: next }, loss };
  }

  /** The micro-batches of one step, and how long they were waited for. */
  async #collect(source: AsyncIterator<TaskBatch>, count: number) {
    const micro: MicroBatch[] = [];
    let waitMs = 0;
    let next = { epoch: 0, position: 0 };
    while (micro.length < count) {
      const asked = performance.now();
      const { value } = (await source.next()) as IteratorYieldResult<TaskBatch>;
      waitMs += performance.now() - asked;
      for (const { id, reason } of value.skipped) await this.#run.emit({ type: "skipped", id, reason });
      micro.push(value.micro);
      next = value.next;
    }
    return { micro, waitMs, next };
  }

  async #save(position: RunPosition): Promise<RunPosition> {
    const { checkpoints, emit } = this.#run;
    const loss = await this.#judge(position.step);
    const better = Number.isFinite(loss) && (position.best === null || loss < position.best.loss);
    const saved = { ...position, ...(better && { best: { step: position.step, loss } }) };
    const path = await checkpoints.save(saved, this.#tensors());
    this.#losses = [];
    this.#savedStep = position.step;
    await emit({ type: "checkpoint", step: position.step, path });
    return saved;
  }

  /** The loss by which checkpoints are compared: of the validation set, or else the mean since the checkpoint before. */
  async #judge(step: number): Promise<number> {
    const { task, validation, trainer } = this.#parts;
    const { emit, options } = this.#run;
    if (!options.signal?.aborted) {
      const shown = (await (validation ?? task).preview?.(trainer.parameters, PREVIEWS)) ?? [];
      for (const preview of shown) await emit({ type: "sample", step, ...preview });
    }
    if (!validation || options.signal?.aborted) return this.#losses.reduce((sum, loss) => sum + loss, 0) / this.#losses.length;
    const request = { batchSize: this.#stage.batchSize, seed: 0, order: "sequential", onBroken: "stop", epochs: 1 } as const;
    const loss = await trainer.evaluate(microBatches(validation.batches({ ...request, start: { epoch: 0, position: 0 } })));
    await emit({ type: "validation", step, loss });
    return loss;
  }

  /** All that learns or learnt, and the optimiser's state; one is in memory at a time. */
  *#tensors(): Iterable<NamedTensor> {
    const { parameters, state } = this.#parts.trainer;
    for (const [path, resident] of parameters) yield stored(`parameter.${path}`, resident);
    for (const [name, list] of Object.entries(state)) {
      let i = 0;
      for (const path of parameters.keys()) yield stored(`${name}.${path}`, list[i++] as Resident);
    }
    for (const [path, { source, shape }] of this.#run.learnt) {
      if (this.#parts.trainable.has(path) || source === null) continue;
      yield { name: `earlier.${path}`, dtype: "float32", shape, read: () => source.read() };
    }
  }
}

async function* microBatches(source: AsyncIterable<TaskBatch>): AsyncIterable<MicroBatch> {
  for await (const { micro } of source) yield micro;
}

function stored(name: string, resident: Resident): NamedTensor {
  const read = async (): Promise<Uint8Array> => {
    const { data } = await resident.read();
    const { buffer, byteOffset, byteLength } = data as Float32Array;
    return new Uint8Array(buffer, byteOffset, byteLength);
  };
  return { name, dtype: "float32", shape: resident.shape, read };
}
