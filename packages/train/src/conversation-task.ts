/** Conversations about pictures as a task: samples through the family's prompt to ids and targets, pictures beside them. */
import { readFile } from "node:fs/promises";
import { batches, checkEncoded, DataError, type DataPosition, type Dataset, isBroken, type Sample, type SampleEncoder } from "@waggle/data";
import { input } from "@waggle/graph";
import type { ImageInput } from "@waggle/image";
import type { Assembly } from "@waggle/mllm";
import { checkOptions, LoraLinear, type Module, setDropoutSeed } from "@waggle/nn";
import type { Resident } from "@waggle/runtime";
import { Tensor } from "onnxruntime-common";
import { conversationGraph, conversationObjective, microBatch, type TargetWeight, type TokenLoss } from "./conversation-objective.ts";
import { type PictureReader, pictureReader } from "./feature-cache.ts";
import type { Objective } from "./objective.ts";
import { firstAnswer, Preview } from "./preview.ts";
import { defaultEncoder } from "./sample-encoder.ts";
import type { BatchRequest, OpenTask, PreviewText, Task, TaskBatch, TaskContext } from "./task.ts";

export interface ConversationOptions {
  /** How samples become ids and targets. Default: as the model's family does. */
  readonly encoder?: SampleEncoder;
  /** Default: cross entropy. */
  readonly loss?: TokenLoss;
  /**
   * What each target counts in an answer of so many targets: `(length) => 1 / length` makes all answers alike, where
   * otherwise long ones drown short ones. Default: 1.
   */
  readonly weight?: TargetWeight;
}

/** What a model learns from when it learns to answer. */
export function conversations(data: Dataset, options: ConversationOptions = {}): Task {
  checkOptions("conversations", options, ["encoder", "loss", "weight"]);
  const { loss, weight } = options;
  return {
    name: [data.name, ...[loss, weight].flatMap((own) => (own ? [String(own)] : []))].join(" "),
    length: data.length,
    measured: data.lengthOf !== undefined,
    open: (context) => ConversationTask.open(data, options, context),
  };
}

class ConversationTask implements OpenTask {
  readonly objective: Objective;
  readonly #data: Dataset;
  readonly #drops: boolean;
  readonly #encoder: SampleEncoder;
  readonly #context: TaskContext;
  readonly #reader: PictureReader | null;
  readonly #weight: TargetWeight | undefined;
  #preview: Preview | null = null;

  private constructor(
    objective: Objective,
    data: Dataset,
    { encoder, weight }: ConversationOptions,
    context: TaskContext,
    reader: PictureReader | null,
  ) {
    this.objective = objective;
    this.#data = data;
    this.#drops = objective.evaluation !== undefined;
    this.#encoder = checked(encoder ?? defaultEncoder(context.model), context.model);
    this.#weight = weight;
    this.#context = context;
    this.#reader = reader;
  }

  static async open(data: Dataset, options: ConversationOptions, context: TaskContext): Promise<ConversationTask> {
    const { model, runtime, trainable, featureCache, signal } = context;
    const visionLearns = [...trainable.keys()].some((path) => path.startsWith("vision_tower."));
    const reader = await pictureReader(model, { runtime, features: visionLearns ? null : featureCache, ...(signal && { signal }) });
    const write = () =>
      conversationObjective(
        conversationGraph(model.language, model.composition, reader?.shape.input ?? "features"),
        options.loss,
        options.weight !== undefined,
      );
    return new ConversationTask(withDropout(context.modules, write), data, options, context, reader);
  }

  async *batches(request: BatchRequest): AsyncIterable<TaskBatch> {
    const { signal } = this.#context;
    const preparePicture = (picture: ImageInput, aborted?: AbortSignal) => this.#prepare(picture, aborted);
    const options = { ...request, encoder: this.#encoder, preparePicture, ...(signal && { signal }) };
    for await (const { samples, pictures, next, skipped } of batches(this.#data, options))
      if (samples.length > 0) {
        const micro = microBatch(samples, pictures, this.#reader?.shape ?? null, this.#weight);
        const feeds = this.#drops ? { ...micro.feeds, dropout_seed: dropoutSeed(request.seed, next) } : micro.feeds;
        yield { micro: { ...micro, feeds }, next, skipped };
      }
  }

  async preview(parameters: ReadonlyMap<string, Resident>, count: number): Promise<readonly PreviewText[]> {
    const { runtime, model, trainable } = this.#context;
    this.#preview ??= await Preview.create(runtime, model, trainable, parameters, this.#reader?.shape.input ?? "features");
    const texts: PreviewText[] = [];
    for (let index = 0; index < this.#data.length && texts.length < count; index++) {
      try {
        texts.push(await this.#answer(this.#preview, await this.#data.sample(index)));
      } catch (error) {
        if (!isBroken(error)) throw error; // what happens to broken samples is said where they are learnt from
      }
    }
    return texts;
  }

  async #answer(preview: Preview, sample: Sample): Promise<PreviewText> {
    const prepared = await Promise.all(sample.images.map((picture) => this.#prepare(picture)));
    const pictureTokens = prepared.map(({ tokens }) => tokens);
    const encoded = this.#encoder.encode(sample, pictureTokens);
    checkEncoded(encoded, pictureTokens);
    const pictures = prepared.map(({ value }) => value);
    const { start, expected } = firstAnswer(encoded, this.#context.model.tokenizer);
    const answer = await preview.answer(encoded, start, pictures, this.#reader?.shape ?? null);
    return { image: await firstPicture(sample), prompt: sample.conversations[0]?.value ?? "", expected, answer };
  }

  dispose(): void {
    this.#preview?.dispose();
    this.#reader?.dispose();
  }

  async #prepare(picture: ImageInput, signal?: AbortSignal) {
    if (this.#reader === null) throw new DataError("bad-sample", "has a picture, but the model takes text only.");
    const value = await this.#reader.prepare(picture, signal);
    return { value, tokens: value.rows.length };
  }
}

/** The objective with the dropout of LoRA pairs, where they have one; it is evaluated without. */
function withDropout(modules: Module, write: () => Objective): Objective {
  const plain = write();
  const drops = [...modules.namedModules()].some(([, module]) => module instanceof LoraLinear && module.lora_dropout > 0);
  if (!drops) return plain;
  const dropout_seed = input("dropout_seed", "int64", []);
  setDropoutSeed(modules, dropout_seed);
  const { inputs, loss } = write();
  setDropoutSeed(modules, null);
  return { inputs: { ...inputs, dropout_seed }, loss, evaluation: plain };
}

/** Another mask for every batch, the same for the same batch of a resumed run. */
function dropoutSeed(seed: number, { epoch, position }: DataPosition): Tensor {
  const batch = (BigInt(epoch) << 24n) + BigInt(position);
  return new Tensor("int64", BigInt64Array.of(((BigInt(seed) & 0x3fffn) << 48n) + (batch & 0xffff_ffff_ffffn)), []);
}

/** An encoder that refuses what the model cannot learn from. */
function checked(encoder: SampleEncoder, { language }: Assembly): SampleEncoder {
  return {
    encode(sample, pictureTokens) {
      const encoded = encoder.encode(sample, pictureTokens);
      const { length } = encoded.input_ids;
      if (length <= language.max_positions) return encoded;
      const message = `has ${length} positions, the language model ${language.max_positions}. Shorten it, or cut with the encoder's model_max_length.`;
      throw new DataError("bad-sample", message);
    },
  };
}

/** The image file of a sample's first picture. */
async function firstPicture({ images: [first] }: Sample): Promise<Uint8Array | null> {
  const source = first?.source;
  return source instanceof Uint8Array ? source : typeof source === "string" ? readFile(source).catch(() => null) : null;
}
