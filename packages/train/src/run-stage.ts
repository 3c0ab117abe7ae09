/** One stage of a run: the graph, the data, the steps, and a checkpoint from time to time. */
import { type NamedTensor, readFloat32, type TensorEntry } from "@waggle/checkpoint";
import { weightPlacer } from "@waggle/mllm";
import { addLora, ConfigError, computedSource, type Module, type Parameter, setRecompute } from "@waggle/nn";
import type { Resident, Runtime } from "@waggle/runtime";
import type { TrainEvent } from "./log/train-event.ts";
import type { MicroBatch } from "./objective.ts";
import type { RunCheckpoints, RunPosition } from "./run-checkpoint.ts";
import { selectParameters } from "./select.ts";
import { type Stage, stepsOf } from "./stage.ts";
import type { OpenTask, TaskBatch } from "./task.ts";
import type { TrainOptions } from "./train.ts";
import { Trainer } from "./trainer.ts";
import { TrainingError } from "./training-error.ts";

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

/** Low-rank matrices that a stage puts beside the layers; returns their paths. Those that stand there already stay. */
export function addStageLora({ modules, seed }: Run, { lora }: Stage): readonly string[] {
  return lora ? [...addLora(modules, { seed, ...lora }).keys()].map((path) => `${path}.lora_*`) : [];
}

/** Gives the modules the values of a checkpoint, in memory: its file may be removed while the run goes on. */
export async function restoreValues({ modules, learnt }: Run, tensors: ReadonlyMap<string, TensorEntry>): Promise<void> {
  for (const [path, parameter] of modules.namedParameters()) {
    const entry = tensors.get(`earlier.${path}`) ?? tensors.get(`parameter.${path}`);
    if (!entry) continue;
    const values = await readFloat32(entry);
    parameter.source = computedSource("float32", parameter.shape, `checkpoint ${entry.fingerprint}`, async () => values);
    learnt.set(path, parameter);
  }
}

export async function runStage(
  run: Run,
  stage: Stage,
  start: RunPosition,
  resumed: ReadonlyMap<string, TensorEntry> | null,
): Promise<StageResult> {
  const { modules, runtime, options } = run;
  const trainable = selectParameters(modules, [...stage.trainable, ...addStageLora(run, stage)], `stage ${stage.name}`);
  const { model, signal } = options;
  const context = { model, modules, trainable, runtime, featureCache: run.featureCache, signal };
  setRecompute(modules, stage.recompute);
  const task = await stage.data.open(context);
  const validation = stage.validation ? await stage.validation.open(context) : null;
  try {
    const { optimizer, clip, average } = stage;
    using trainer = await Trainer.create({
      ...{ runtime, module: modules, trainable, objective: task.objective, optimizer, clip, average, signal },
      weights: weightPlacer(),
    });
    if (resumed && start.stageStep > 0) await trainer.restore(start.stageStep, resumed); // else its optimiser is the stage's before
    const result = await new StageLoop(run, stage, { task, validation, trainer, trainable }, start).run();
    await trainer.commit();
    for (const [path, parameter] of trainable) run.learnt.set(path, parameter);
    return result;
  } finally {
    setRecompute(modules, false);
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
  readonly #steps: number;
  #position: RunPosition;
  #loss = Number.NaN;
  /** Of the steps since the last checkpoint. */
  #losses: number[] = [];
  #savedStep: number;

  constructor(run: Run, stage: Stage, parts: LoopParts, start: RunPosition) {
    this.#run = run;
    this.#stage = stage;
    this.#parts = parts;
    this.#steps = stepsOf(stage);
    this.#position = start.stageStep === 0 ? { ...start, best: null } : start; // losses of two stages do not compare
    this.#savedStep = start.step;
  }

  async run(): Promise<StageResult> {
    const { signal, checkpointEvery = 500 } = this.#run.options;
    const { batchSize, accumulation, order, onBroken } = this.#stage;
    const request = { batchSize, accumulation, order, onBroken, seed: this.#run.seed, start: this.#position.data };
    const source = this.#parts.task.batches(request)[Symbol.asyncIterator]();
    try {
      while (this.#position.stageStep < this.#steps) {
        signal?.throwIfAborted();
        await this.#step(source);
        const { stageStep } = this.#position;
        if (stageStep % checkpointEvery === 0 && stageStep < this.#steps) await this.#save(await this.#judge());
      }
      const { stage } = this.#position;
      this.#position = { ...this.#position, stage: stage + 1, stageStep: 0, data: { epoch: 0, position: 0 } };
      await this.#save(await this.#judge());
    } catch (error) {
      await this.#rescue(error);
      throw error;
    } finally {
      await source.return?.();
    }
    return { position: this.#position, loss: this.#loss };
  }

  /** Keeps the steps since the last checkpoint, unless they are why training ends. */
  async #rescue(error: unknown): Promise<void> {
    const diverged = error instanceof TrainingError && error.code === "not-finite";
    if (diverged || this.#position.step === this.#savedStep) return;
    await this.#save(this.#parts.validation ? Number.NaN : mean(this.#losses)).catch((unsaved: unknown) => {
      throw this.#run.options.signal?.aborted ? unsaved : error; // of two errors, the one that nobody asked for
    });
  }

  async #step(source: AsyncIterator<TaskBatch>): Promise<void> {
    const { options, emit, totalSteps } = this.#run;
    const { optimizer, accumulation, name } = this.#stage;
    const { trainer } = this.#parts;
    const began = performance.now();
    const { micro, waitMs, next } = await this.#collect(source, accumulation);
    const factor = this.#factor();
    const { loss, gradNorm } = await trainer.step(micro, factor, options.signal);
    const step = this.#position.step + 1;
    // Before anybody is told, who might throw: parameters and position belong together.
    this.#position = { ...this.#position, step, stageStep: this.#position.stageStep + 1, data: next };
    this.#loss = loss;
    this.#losses.push(loss);
    const seconds = (performance.now() - began) / 1000;
    const tokensPerSecond = micro.reduce((sum, { tokens }) => sum + tokens, 0) / seconds;
    const lr = optimizer.lr * factor;
    await emit({ type: "step", record: { step, stage: name, loss, gradNorm, lr, tokensPerSecond, waitMs }, of: totalSteps });
  }

  #factor(): number {
    const { name, schedule, optimizer } = this.#stage;
    const { stageStep } = this.#position;
    const factor = schedule.factor(stageStep, this.#steps, optimizer.lr);
    if (Number.isFinite(factor) && factor >= 0) return factor;
    const message = `factor(${stageStep}, ${this.#steps}, ${optimizer.lr}): expected a finite number ≥ 0, got ${factor}.`;
    throw new ConfigError(`stage ${name}`, [{ field: `schedule ${schedule.name}`, message }]);
  }

  /** The micro-batches of one step, and how long they were waited for. The last step of epochs has what is left of them. */
  async #collect(source: AsyncIterator<TaskBatch>, count: number) {
    const micro: MicroBatch[] = [];
    let waitMs = 0;
    let next = { epoch: 0, position: 0 };
    const { epochs = Number.POSITIVE_INFINITY } = this.#stage;
    const last = this.#position.stageStep === this.#steps - 1;
    while (micro.length < count && !(last && micro.length > 0 && next.epoch >= epochs)) {
      const asked = performance.now();
      const { value, done } = await source.next();
      if (done) throw noBatches(this.#stage);
      waitMs += performance.now() - asked;
      await this.#tellSkipped(value);
      micro.push(value.micro);
      next = value.next;
    }
    return { micro, waitMs, next };
  }

  async #tellSkipped({ skipped }: TaskBatch): Promise<void> {
    for (const { id, reason } of skipped) await this.#run.emit({ type: "skipped", id, reason });
  }

  async *#microBatches(source: AsyncIterable<TaskBatch>): AsyncIterable<MicroBatch> {
    for await (const batch of source) {
      await this.#tellSkipped(batch);
      yield batch.micro;
    }
  }

  async #save(loss: number): Promise<void> {
    const { checkpoints, emit } = this.#run;
    const { step, best } = this.#position;
    if (Number.isFinite(loss) && (best === null || loss < best.loss)) this.#position = { ...this.#position, best: { step, loss } };
    const path = await checkpoints.save(this.#position, this.#tensors());
    this.#losses = [];
    this.#savedStep = step;
    await emit({ type: "checkpoint", step, path });
  }

  /** The loss by which checkpoints are compared: of the validation set, or else the mean since the checkpoint before. */
  async #judge(): Promise<number> {
    const { task, validation, trainer } = this.#parts;
    const { emit, options } = this.#run;
    const { step } = this.#position;
    options.signal?.throwIfAborted();
    const shown = (await (validation ?? task).preview?.(trainer.parameters, PREVIEWS)) ?? [];
    for (const preview of shown) await emit({ type: "sample", step, ...preview });
    if (!validation) return mean(this.#losses);
    const { batchSize, onBroken } = this.#stage;
    const request = { batchSize, onBroken, seed: 0, order: "sequential", epochs: 1, start: { epoch: 0, position: 0 } } as const;
    const loss = await trainer.evaluate(this.#microBatches(validation.batches(request)), validation.objective);
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

function mean(losses: readonly number[]): number {
  return losses.reduce((sum, loss) => sum + loss, 0) / losses.length;
}

function noBatches({ name, data }: Stage): ConfigError {
  const message = `${data.name}: its batches ended; expected them without end where no epochs are asked for.`;
  return new ConfigError(`stage ${name}`, [{ field: "data", message }]);
}

function stored(name: string, resident: Resident): NamedTensor {
  const read = async (): Promise<Uint8Array> => {
    const { data } = await resident.read();
    const { buffer, byteOffset, byteLength } = data as Float32Array;
    return new Uint8Array(buffer, byteOffset, byteLength);
  };
  return { name, dtype: "float32", shape: resident.shape, read };
}
