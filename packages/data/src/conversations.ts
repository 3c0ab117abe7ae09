/**
 * Conversations in LLaVA's format: `[{ "id", "image"?, "conversations": [{ "from": "human" | "gpt", "value" }, …] }, …]`,
 * as a list or as JSON lines. `image` is a file name, or a list of them, in the folder of pictures.
 */
import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { image } from "@waggle/image";
import { checkOptions, DataError } from "./data-error.ts";
import type { Dataset, SampleLength } from "./dataset.ts";
import { RowFile } from "./row-file.ts";
import type { Sample, Turn } from "./sample.ts";

export interface OpenOptions {
  /** The folder of the pictures. Default: the folder of the file. */
  readonly images?: string;
  readonly signal?: AbortSignal;
}

/** Finds the rows, keeps the file open, and reads a row when it is asked for. */
export async function openConversations(path: string, options: OpenOptions = {}): Promise<Dataset & Disposable> {
  checkOptions("openConversations", options, ["images", "signal"]);
  await checkFolder(options.images);
  const rows = await RowFile.open(path, options.signal);
  const folder = options.images ?? resolve(path, "..");
  return {
    name: path,
    length: rows.length,
    sample: (index) => readSample(rows, index, folder),
    lengthOf: (index) => lengthOf(rows, index),
    [Symbol.dispose]: () => rows.dispose(),
  };
}

/** Said when a file is opened: otherwise the first picture says it, of validation data many steps later. */
export async function checkFolder(images: string | undefined): Promise<void> {
  if (images === undefined || (await stat(images).catch(() => null))?.isDirectory()) return;
  throw new DataError("not-found", "no such folder of pictures.", { file: images });
}

function readSample(rows: RowFile, row: number, folder: string): Sample {
  const { id, image: pictures, conversations } = rows.read(row);
  const problems: string[] = [];
  const names = pictures === undefined || pictures === null ? [] : Array.isArray(pictures) ? pictures : [pictures];
  if (!names.every((name) => typeof name === "string" && name !== ""))
    problems.push(`image: expected a file name, found ${shown(pictures)}`);
  if (!Array.isArray(conversations) || conversations.length === 0) {
    problems.push(`conversations: expected a list of turns, found ${shown(conversations)}`);
  } else for (const [i, turn] of conversations.entries()) if (!isTurn(turn)) problems.push(turnProblem(turn, i));
  if (problems.length > 0) throw new DataError("bad-row", `${problems.join("; ")}.`, { file: rows.path, row });
  return {
    id: typeof id === "string" || typeof id === "number" ? String(id) : `row ${row}`,
    images: names.map((name) => image(resolve(folder, String(name)))),
    conversations: (conversations as readonly Turn[]).map(({ from, value }) => ({ from, value })),
  };
}

function isTurn(turn: unknown): turn is Turn {
  const { from, value } = (turn ?? {}) as Readonly<Record<string, unknown>>;
  return (from === "human" || from === "gpt") && typeof value === "string";
}

function turnProblem(turn: unknown, index: number): string {
  return `conversations[${index}]: expected { "from": "human" | "gpt", "value": text }, found ${shown(turn)}`;
}

/** A value in words, for a message. */
export function shown(value: unknown): string {
  const text = value === undefined ? "nothing" : JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

/** reference  LLaVA `LazySupervisedDataset.modality_lengths`; a broken row, which it cannot measure, counts as one word of text */
function lengthOf(rows: RowFile, row: number): SampleLength {
  try {
    const { image: pictures, conversations } = rows.read(row);
    if (Array.isArray(conversations) && conversations.every(isTurn)) {
      const length = conversations.reduce((sum, { value }) => sum + wordCount(value), 0);
      return { length, multimodal: pictures !== undefined && pictures !== null };
    }
  } catch (error) {
    if (!(error instanceof DataError && error.row !== null)) throw error;
  }
  return { length: 1, multimodal: false };
}

export function wordCount(text: string): number {
  return text.match(/\S+/g)?.length ?? 0;
}
