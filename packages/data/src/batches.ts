/**
 * A data set as training takes it: encoded samples and prepared pictures, batch by batch, in an order that follows from
 * the seed alone. Reading, decoding and encoding run ahead of the consumer.
 */
import { ImageError, type ImageInput } from "@waggle/image";
import { PromptError, TokenizerError } from "@waggle/text";
import { checkOptions, DataError, wholeFrom } from "./data-error.ts";
import type { Dataset } from "./dataset.ts";
import { epochOrders, type Order } from "./order.ts";
import { prepareAhead } from "./prepare-ahead.ts";
import { type EncodedSample, IGNORE, IMAGE, type SampleEncoder } from "./sample.ts";

/** Where a data set is read on: sample `position` of the order of `epoch`. */
export interface DataPosition {
  readonly epoch: number;
  readonly position: number;
}

/** A picture as the model takes it, and how many visual tokens it makes. */
export interface Prepared<P> {
  readonly value: P;
  readonly tokens: number;
}

export interface BatchOptions<P> {
  readonly encoder: SampleEncoder;
  /** Samples of a batch. The last of an epoch may have fewer, and so may one with broken samples. */
  readonly batchSize: number;
  /** Batches of an optimiser step, to which "length-grouped" gives about the same length, and all pictures or all text. Default 1. */
  readonly accumulation?: number | undefined;
  /** 0 … 2^53 − 1. */
  readonly seed: number;
  /** Default "shuffled". "length-grouped" is LLaVA's: about equally long samples together, pictures and text apart. */
  readonly order?: Order | undefined;
  /** Pixels, or features that were made before. Called for several pictures at a time. */
  readonly preparePicture: (picture: ImageInput, signal?: AbortSignal) => Promise<Prepared<P>>;
  /** A broken sample is left out and reported with its batch, or ends the loop with its error. */
  readonly onBroken: "skip" | "stop";
  /** Where to begin; `next` of the last batch that was used. Default: the beginning. */
  readonly start?: DataPosition | undefined;
  /** Batches that are prepared before they are asked for. Default 2. */
  readonly prefetch?: number | undefined;
  /** Default: endless. */
  readonly epochs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface Skipped {
  readonly id: string;
  readonly reason: string;
}

export interface Batch<P> {
  readonly samples: readonly EncodedSample[];
  /** Of all samples, in the order of their {@link IMAGE} spans. */
  readonly pictures: readonly P[];
  readonly picturesPerSample: readonly number[];
  /** Where to go on after this batch. */
  readonly next: DataPosition;
  /** Broken samples since the batch before. */
  readonly skipped: readonly Skipped[];
}

const OPTIONS: readonly string[] = [
  "encoder",
  "batchSize",
  "accumulation",
  "seed",
  "order",
  "preparePicture",
  "onBroken",
  "start",
  "prefetch",
  "epochs",
  "signal",
] satisfies (keyof BatchOptions<unknown>)[];

/** Samples in work at a time: sharp decodes in four threads, and one more of each waits ready. */
const CONCURRENCY = 8;

/**
 * Two loops with equal options give equal batches, and one with `start` goes on exactly as the one that it continues.
 * A group in which every sample is broken gives no batch of its own: its report comes with the next one; only the last
 * batch of all can be without samples.
 * @throws DataError for wrong options, for a broken sample (`onBroken: "stop"`), and for an epoch without a good sample.
 */
export async function* batches<P>(dataset: Dataset, options: BatchOptions<P>): AsyncGenerator<Batch<P>> {
  check(dataset, options);
  const {
    batchSize,
    seed,
    order = "shuffled",
    start = { epoch: 0, position: 0 },
    prefetch = 2,
    epochs = Infinity,
    onBroken,
    signal,
  } = options;
  const orderOf = await epochOrders(dataset, { order, seed, batchSize, worldSize: options.accumulation ?? 1, signal });
  const plan = stepsFrom(start, { length: dataset.length, batchSize, epochs, orderOf });
  const prepared = prepareAhead(plan, {
    prepare: (step, signal) => prepareStep(dataset, step, options, signal),
    ahead: prefetch * batchSize,
    concurrency: CONCURRENCY,
    signal,
  });
  let good: Good<P>[] = [];
  let skipped: Skipped[] = [];
  let goodInEpoch = start.position > 0; // of the part before `start` nothing is known
  for await (const { step, outcome } of prepared) {
    if ("error" in outcome) {
      if (onBroken === "stop") throw named(outcome, dataset);
      skipped.push({ id: outcome.id, reason: outcome.error.message });
    } else good.push(outcome);
    if (step.next === null) continue;
    goodInEpoch ||= good.length > 0;
    const epochEnds = step.next.position === 0;
    if (epochEnds && !goodInEpoch) throw allBroken(dataset, skipped);
    if (epochEnds) goodInEpoch = false;
    if (good.length > 0 || step.next.epoch === epochs) {
      yield { ...joined(good), next: step.next, skipped };
      [good, skipped] = [[], []];
    }
  }
}

/** Batches of an epoch. */
export function batchesPerEpoch(samples: number, batchSize: number): number {
  return Math.ceil(samples / batchSize);
}

interface Step {
  readonly index: number;
  readonly epoch: number;
  /** Behind the last sample of a batch: where the next begins. */
  readonly next: DataPosition | null;
}

interface Plan {
  readonly length: number;
  readonly batchSize: number;
  readonly epochs: number;
  readonly orderOf: (epoch: number) => readonly number[];
}

function* stepsFrom(start: DataPosition, { length, batchSize, epochs, orderOf }: Plan): Generator<Step> {
  for (let { epoch, position } = start; epoch < epochs; epoch++, position = 0) {
    for (const index of orderOf(epoch).slice(position)) {
      position += 1;
      const last = position === length;
      const ends = last || position % batchSize === 0;
      yield { index, epoch, next: ends ? (last ? { epoch: epoch + 1, position: 0 } : { epoch, position }) : null };
    }
  }
}

interface Good<P> {
  readonly encoded: EncodedSample;
  readonly pictures: readonly P[];
}

interface Broken {
  readonly id: string;
  readonly error: Error;
}

interface Outcome<P> {
  readonly step: Step;
  readonly outcome: Good<P> | Broken;
}

async function prepareStep<P>(dataset: Dataset, step: Step, options: BatchOptions<P>, signal: AbortSignal): Promise<Outcome<P>> {
  let id = `${dataset.name} ${step.index}`;
  try {
    const sample = await dataset.sample(step.index, step.epoch);
    id = sample.id;
    const prepared = await Promise.all(sample.images.map((picture) => options.preparePicture(picture, signal)));
    const tokens = prepared.map((picture) => picture.tokens);
    const encoded = options.encoder.encode(sample, tokens);
    checkEncoded(encoded, tokens);
    return { step, outcome: { encoded, pictures: prepared.map(({ value }) => value) } };
  } catch (error) {
    signal.throwIfAborted();
    if (!isBroken(error)) throw error;
    return { step, outcome: { id, error } };
  }
}

/** The error of a broken sample, with the sample; one of reading its row says where it lies. */
function named({ id, error }: Broken, { name }: Dataset): Error {
  if (error instanceof DataError && error.row !== null) return error;
  const code = error instanceof DataError ? error.code : "bad-sample";
  return new DataError(code, `${name}, sample ${id}: ${error.message}`, { cause: error });
}

/** Codes of errors that no data file can be blamed for. */
const MISTAKES: readonly string[] = [
  ...["option", "bad-option", "bad-config", "unsupported-processor", "worker"],
  ...["invalid_option", "tokenizer", "unknown_template"],
];

/** Whether a sample is to blame for an error; if not, every other sample would meet it too. */
export function isBroken(error: unknown): error is Error {
  const aboutData = [DataError, ImageError, PromptError, TokenizerError].some((kind) => error instanceof kind);
  return aboutData && !MISTAKES.includes((error as { readonly code: string }).code);
}

/** @throws DataError for places that the pictures do not fill, and for a sample without a target */
export function checkEncoded({ input_ids, labels }: EncodedSample, pictureTokens: readonly number[]): void {
  const places = input_ids.reduce((sum, id) => sum + (id === IMAGE ? 1 : 0), 0);
  const expected = pictureTokens.reduce((sum, count) => sum + count, 0);
  if (places !== expected) {
    throw new DataError("bad-sample", `its pictures make ${expected} visual tokens, the encoded conversation has places for ${places}.`);
  }
  if (labels.every((label) => label === IGNORE)) {
    const why = "there is no answer from gpt, it was cut off or is empty, or the family's length check failed";
    throw new DataError("no-targets", `every label is masked: ${why}.`);
  }
}

function joined<P>(good: readonly Good<P>[]): Pick<Batch<P>, "samples" | "pictures" | "picturesPerSample"> {
  return {
    samples: good.map(({ encoded }) => encoded),
    pictures: good.flatMap(({ pictures }) => pictures),
    picturesPerSample: good.map(({ pictures }) => pictures.length),
  };
}

function allBroken(dataset: Dataset, skipped: readonly Skipped[]): DataError {
  const shown = skipped.slice(0, 3).map(({ id, reason }) => `\n  ${id}: ${reason}`);
  return new DataError(
    "all-broken",
    `${dataset.name}: none of the ${dataset.length} samples can be used; the first ones:${shown.join("")}`,
  );
}

function check<P>(dataset: Dataset, options: BatchOptions<P>): void {
  const { batchSize, seed, order = "shuffled", start, prefetch, epochs, onBroken } = options;
  const inside = start === undefined || (start.position >= 0 && start.position < dataset.length);
  checkOptions("batches", options, OPTIONS, [
    dataset.length > 0 ? null : `${dataset.name}: expected at least one sample, found none.`,
    wholeFrom(1, "batchSize", batchSize),
    wholeFrom(1, "accumulation", options.accumulation),
    wholeFrom(0, "seed", seed),
    wholeFrom(0, "prefetch", prefetch),
    wholeFrom(1, "epochs", epochs),
    wholeFrom(0, "start.epoch", start?.epoch),
    inside
      ? wholeFrom(0, "start.position", start?.position)
      : `start.position: ${start.position} is outside ${dataset.name}, which has ${dataset.length} samples.`,
    ["shuffled", "length-grouped", "sequential"].includes(order)
      ? null
      : `order: expected "shuffled", "length-grouped" or "sequential", got ${JSON.stringify(order)}.`,
    ["skip", "stop"].includes(onBroken) ? null : `onBroken: expected "skip" or "stop", got ${JSON.stringify(onBroken)}.`,
  ]);
}
