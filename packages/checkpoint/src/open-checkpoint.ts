/**
 * A folder as it is published: one file, or shards with an index. Safetensors are preferred to PyTorch's pickles.
 *
 *     model.safetensors              pytorch_model.bin
 *     model.safetensors.index.json   pytorch_model.bin.index.json     { weight_map: { tensor: file } }
 *
 * The index and the shards' headers must say the same: every difference, over all shards, is listed in one error.
 */
import { readdir, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { CheckpointError, type Problem, shorten, throwIfAny } from "./checkpoint-error.ts";
import { duplicateKeys } from "./json-structure.ts";
import { type Checkpoint, type OpenOptions, openSafetensors } from "./open-safetensors.ts";
import { openTorch } from "./open-torch.ts";
import { checkOptions } from "./options.ts";
import { decodeUtf8, parseJson, readLimited } from "./read-json.ts";
import { isRecord, kindOf } from "./safetensors-header.ts";
import type { TensorEntry } from "./tensor-entry.ts";

const CANDIDATES = ["model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"];
// As for a header: about a million names.
const LARGEST_INDEX = 100_000_000;

/** Opens the checkpoint in `path`: a folder, or directly a weight file or an index. Headers only. */
export async function openCheckpoint(path: string, options: OpenOptions = {}): Promise<Checkpoint> {
  checkOptions("openCheckpoint", options, ["signal"]);
  options.signal?.throwIfAborted();
  const file = await weightFileOf(path);
  const checkpoint = file.endsWith(".json") ? await openSharded(file, options) : await openFile(file, options);
  return { ...checkpoint, source: path };
}

async function openFile(path: string, options: OpenOptions): Promise<Checkpoint> {
  return /\.(bin|pt|pth)$/.test(path) ? openTorch(path, options) : openSafetensors(path, options);
}

async function weightFileOf(path: string): Promise<string> {
  const found = await stat(path).catch((cause: unknown) => {
    throw new CheckpointError({ code: "not_found", file: path, message: "there is no such folder." }, { cause });
  });
  if (!found.isDirectory()) return path;
  const files = await readdir(path);
  const name = CANDIDATES.find((candidate) => files.includes(candidate));
  if (name !== undefined) return join(path, name);
  throw new CheckpointError({
    code: "not_found",
    file: path,
    message: `holds no weights: expected one of ${CANDIDATES.join(", ")}; found ${listed(files)}.`,
  });
}

function listed(files: readonly string[]): string {
  if (files.length === 0) return "an empty folder";
  return files.slice(0, 12).join(", ") + (files.length > 12 ? ` and ${files.length - 12} more` : "");
}

async function openSharded(index: string, options: OpenOptions): Promise<Checkpoint> {
  const weightMap = await readIndex(index);
  const problems: Problem[] = [];
  const tensors = new Map<string, TensorEntry>();
  const shardOf = new Map<string, string>();
  let metadata: Readonly<Record<string, string>> = {};
  for (const shard of new Set(weightMap.values())) {
    const opened = await openShard(join(dirname(index), shard), index, options, problems);
    if (opened === undefined) continue;
    metadata = { ...metadata, ...opened.metadata };
    for (const [name, entry] of opened.tensors) {
      const problem = misplaced(shard, weightMap.get(name), shardOf.get(name));
      if (problem) problems.push({ file: opened.source, entry: name, ...problem });
      shardOf.set(name, shard);
      tensors.set(name, entry);
    }
    for (const [name, file] of weightMap) {
      if (file !== shard || opened.tensors.has(name)) continue;
      const message = `${basename(index)} says that this file holds it, but it does not.`;
      problems.push({ code: "missing_tensor", file: opened.source, entry: name, message });
    }
  }
  throwIfAny(problems);
  return { source: index, tensors, metadata };
}

function misplaced(shard: string, indexed: string | undefined, seenIn: string | undefined): Pick<Problem, "code" | "message"> | undefined {
  if (seenIn !== undefined) return { code: "duplicate", message: `is also in ${seenIn}.` };
  if (indexed === shard) return undefined;
  const elsewhere = indexed === undefined ? "does not name it" : `says that it is in ${indexed}`;
  return { code: "unexpected_tensor", message: `the file holds it, but the index ${elsewhere}.` };
}

/** Opens one shard, or adds what is wrong with it to `problems`. */
async function openShard(path: string, index: string, options: OpenOptions, problems: Problem[]): Promise<Checkpoint | undefined> {
  try {
    return await openFile(path, options);
  } catch (error) {
    if (!(error instanceof CheckpointError)) throw error;
    if (error.code === "not_found") {
      problems.push({ code: "missing_shard", file: path, message: `the file is missing, but ${basename(index)} names it.` });
    } else {
      problems.push(...error.problems);
    }
    return undefined;
  }
}

async function readIndex(file: string): Promise<ReadonlyMap<string, string>> {
  const bytes = await readLimited(file, LARGEST_INDEX);
  const parsed = parseJson(bytes, file);
  const weightMap = isRecord(parsed) ? parsed.weight_map : undefined;
  if (!isRecord(weightMap)) {
    const message = `weight_map is ${kindOf(weightMap)}, expected an object from tensor name to file name.`;
    throw new CheckpointError({ code: "invalid_index", file, message });
  }
  const problems: Problem[] = duplicateKeys(decodeUtf8(bytes, file)).map((entry) => {
    return { code: "duplicate", file, entry, message: "occurs twice in the index." };
  });
  const result = new Map<string, string>();
  for (const [entry, shard] of Object.entries(weightMap)) {
    if (typeof shard === "string" && isPlainName(shard)) result.set(entry, shard);
    else {
      const message = `names ${shorten(String(JSON.stringify(shard)))}, expected the name of a file beside the index.`;
      problems.push({ code: "invalid_index", file, entry, message });
    }
  }
  throwIfAny(problems);
  return result;
}

/** A file in this very folder: an index must not send us anywhere else. */
function isPlainName(name: string): boolean {
  return name !== "" && name !== "." && name !== ".." && !/[/\\\0]/.test(name);
}
