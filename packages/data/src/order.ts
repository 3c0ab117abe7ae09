/**
 * The order in which the samples of an epoch are read.
 * reference  haotian-liu/LLaVA `llava_trainer.py` (`get_length_grouped_indices`, `get_modality_length_grouped_indices`)
 */
import { setImmediate } from "node:timers/promises";
import { DataError } from "./data-error.ts";
import type { Dataset, SampleLength } from "./dataset.ts";
import { RandomStream } from "./scenes/random-stream.ts";
import { ORDER } from "./stream.ts";

/** The numbers 0 … count − 1 in random order. */
export type Permute = (count: number) => readonly number[];

/** Fisher and Yates; equal for equal seed and epoch. */
export function seededPermute(seed: number, epoch: number): Permute {
  const random = new RandomStream(seed, ORDER, epoch);
  return (count) => {
    const order = Array.from({ length: count }, (_, i) => i);
    for (let i = count - 1; i > 0; i--) {
      const j = random.below(i + 1);
      [order[i], order[j]] = [order[j] as number, order[i] as number];
    }
    return order;
  };
}

export interface GroupOptions {
  readonly batchSize: number;
  /** Batches that make one optimiser step: processes × accumulation. Each gets a similar share of long samples. */
  readonly worldSize: number;
  readonly permute: Permute;
}

/** Samples of about the same length next to each other: random groups of a step's size, each sorted and shared out. */
export function lengthGroups(lengths: readonly number[], { batchSize, worldSize, permute }: GroupOptions): number[] {
  return chunked(permute(lengths.length), batchSize * worldSize).flatMap((group) => {
    const longestFirst = [...group].sort((a, b) => (lengths[b] ?? 0) - (lengths[a] ?? 0));
    return evenChunks(longestFirst, lengths, worldSize).flat();
  });
}

/** As {@link lengthGroups}, and a step holds pictures or text, not both, except what is left over at the end. */
export function modalityGroups(samples: readonly SampleLength[], options: GroupOptions): number[] {
  const empty = samples.flatMap(({ length }, i) => (length > 0 ? [] : [i]));
  if (empty.length > 0) {
    const named = empty.length > 8 ? `${empty.slice(0, 8).join(", ")} and ${empty.length - 8} more` : empty.join(", ");
    throw new DataError("bad-sample", `grouping by length: samples without a word: ${named}. Take them out, or choose another order.`);
  }
  const parts = [true, false].map((kind) => samples.flatMap(({ multimodal }, i) => (multimodal === kind ? [i] : [])));
  // The original measures text below zero, and so has the shortest first where there is nothing but text. Kept: equal orders.
  const [pictures = [], text = []] = parts;
  if (text.length === 0 || pictures.length === 0) return lengthGroups(samples.map(signedLength), options);
  const size = options.batchSize * options.worldSize;
  const groups = parts.map((part) => {
    const lengths = part.map((i) => samples[i]?.length ?? 0);
    return chunked(
      lengthGroups(lengths, options).map((i) => part[i] as number),
      size,
    );
  });
  const rest = groups.flatMap((list) => list.pop() ?? []);
  const whole = groups.flat();
  const mixed = options.permute(whole.length).map((i) => whole[i] as number[]);
  return [...mixed.flat(), ...rest.sort((a, b) => a - b)];
}

function signedLength({ length, multimodal }: SampleLength): number {
  return multimodal ? length : -length;
}

/** Shares out into equal numbers, the next one always to whoever has least; in turn where the numbers cannot be equal. */
export function evenChunks(indices: readonly number[], lengths: readonly number[], count: number): number[][] {
  if (indices.length % count !== 0) return Array.from({ length: count }, (_, i) => indices.filter((__, at) => at % count === i));
  const chunks = Array.from({ length: count }, () => ({ indices: [] as number[], length: 0 }));
  for (const index of indices) {
    const open = chunks.filter((chunk) => chunk.indices.length < indices.length / count);
    const least = open.reduce((best, chunk) => (chunk.length < best.length ? chunk : best));
    least.indices.push(index);
    least.length += lengths[index] ?? 0;
  }
  return chunks.map((chunk) => chunk.indices);
}

function chunked<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size));
}

export type Order = "shuffled" | "length-grouped" | "sequential";

/** The order of an epoch. For "length-grouped" every sample is measured first, the event loop free in between. */
export async function epochOrders(
  dataset: Dataset,
  { order, seed, batchSize, worldSize, signal }: OrderOptions,
): Promise<(epoch: number) => readonly number[]> {
  if (order === "shuffled") return (epoch) => seededPermute(seed, epoch)(dataset.length);
  if (order === "sequential") return () => Array.from({ length: dataset.length }, (_, i) => i);
  const lengths = await measured(dataset, signal);
  return (epoch) => modalityGroups(lengths, { batchSize, worldSize, permute: seededPermute(seed, epoch) });
}

export interface OrderOptions extends Omit<GroupOptions, "permute"> {
  readonly order: Order;
  readonly seed: number;
  readonly signal?: AbortSignal | undefined;
}

async function measured(dataset: Dataset, signal: AbortSignal | undefined): Promise<readonly SampleLength[]> {
  if (dataset.lengthOf === undefined) {
    throw new DataError("option", `batches: order "length-grouped" needs lengthOf, which ${dataset.name} does not have. Use "shuffled".`);
  }
  const lengths: SampleLength[] = [];
  for (let i = 0; i < dataset.length; i++) {
    if (i % 1000 === 999) await setImmediate();
    signal?.throwIfAborted();
    lengths.push(dataset.lengthOf(i));
  }
  return lengths;
}
