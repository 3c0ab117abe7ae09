/**
 * A checkpoint as Hugging Face publishes it: one file, or shards of at most 5 GB with an index.
 *
 *     model.safetensors
 *     model-00001-of-00003.safetensors … · model.safetensors.index.json     { metadata: { total_size }, weight_map: { tensor: file } }
 */
import { statfs } from "node:fs/promises";
import { join } from "node:path";
import { writeAtomically, writeFully } from "./atomic-file.ts";
import { CheckpointError } from "./checkpoint-error.ts";
import { byteLengthOf } from "./data-type.ts";
import { checkOptions } from "./options.ts";
import type { OnProgress } from "./progress.ts";
import { type NamedTensor, writeSafetensors } from "./write-safetensors.ts";

export interface WriteCheckpointOptions {
  /** The most tensor bytes in one file; a larger tensor has a file of its own. Default 5 GB. */
  readonly maxShardBytes?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: OnProgress<"write">;
}

/** Writes `tensors` into `folder`, which must exist, in their order; memory holds one of them at a time, or a piece of it. */
export async function writeCheckpoint(
  folder: string,
  tensors: Iterable<NamedTensor>,
  options: WriteCheckpointOptions = {},
): Promise<readonly string[]> {
  checkOptions("writeCheckpoint", options, ["maxShardBytes", "signal", "onProgress"]);
  const { maxShardBytes = 5e9, signal, onProgress } = options;
  const shards = shardsOf(tensors, maxShardBytes);
  const total = shards.reduce((sum, { byteLength }) => sum + byteLength, 0);
  await checkRoom(folder, total);
  const names = shards.map((_, i) =>
    shards.length === 1 ? "model.safetensors" : `model-${padded(i + 1)}-of-${padded(shards.length)}.safetensors`,
  );
  let before = 0;
  for (const [i, shard] of shards.entries()) {
    const done = before;
    await writeSafetensors(join(folder, names[i] ?? ""), shard.tensors, {
      metadata: { format: "pt" },
      ...(signal && { signal }),
      ...(onProgress && { onProgress: (step) => onProgress({ ...step, loaded: Math.min(done + step.loaded, total), total }) }),
    });
    before += shard.byteLength;
  }
  if (shards.length === 1) return names;
  const weight_map = Object.fromEntries(shards.flatMap((shard, i) => shard.tensors.map(({ name }) => [name, names[i]])));
  const index = new TextEncoder().encode(`${JSON.stringify({ metadata: { total_size: total }, weight_map }, null, 2)}\n`);
  await writeAtomically(join(folder, "model.safetensors.index.json"), (file) => writeFully(file, index, 0));
  return [...names, "model.safetensors.index.json"];
}

interface Shard {
  readonly tensors: NamedTensor[];
  byteLength: number;
}

function shardsOf(tensors: Iterable<NamedTensor>, limit: number): readonly Shard[] {
  const first: Shard = { tensors: [], byteLength: 0 };
  const shards = [first];
  let shard = first;
  for (const tensor of tensors) {
    const bytes = byteLengthOf(tensor.dtype, tensor.shape) ?? 0;
    if (shard.tensors.length > 0 && shard.byteLength + bytes > limit) {
      shard = { tensors: [], byteLength: 0 };
      shards.push(shard);
    }
    shard.tensors.push(tensor);
    shard.byteLength += bytes;
  }
  return shards;
}

async function checkRoom(folder: string, needed: number): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  const free = bavail * bsize;
  if (needed <= free) return;
  const message = `the weights need ${needed} bytes, the disk has ${free} left. Choose another folder, or free some space.`;
  throw new CheckpointError({ code: "unwritable", file: folder, message });
}

function padded(number: number): string {
  return String(number).padStart(5, "0");
}
