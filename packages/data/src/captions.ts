/**
 * Captions: `[{ "image", "caption" }, …]` as a list or as JSON lines, and MiniGPT-4's `filter_cap.json`,
 * `{ "annotations": [{ "image_id", "caption" }, …] }` or the list alone, whose pictures are `<image_id>.jpg`.
 */
import { resolve } from "node:path";
import { image } from "@waggle/image";
import { IMAGE_PLACEHOLDER } from "@waggle/text";
import { checkFolder, shown, wordCount } from "./conversations.ts";
import { checkOptions, DataError, wholeFrom } from "./data-error.ts";
import type { Dataset } from "./dataset.ts";
import { RowFile } from "./row-file.ts";
import { RandomStream } from "./scenes/random-stream.ts";
import { CAPTIONS, epochSeed } from "./stream.ts";

export interface CaptionOptions {
  /** The folder of the pictures. Default: the folder of the file. */
  readonly images?: string;
  /** What the human asks, one of them drawn for every sample and epoch. Default: `<image>` alone. */
  readonly instructions?: readonly string[];
  /** Of the drawing. Default 0. */
  readonly seed?: number;
  readonly signal?: AbortSignal;
}

const OPTIONS: readonly string[] = ["images", "instructions", "seed", "signal"] satisfies (keyof CaptionOptions)[];

/** Finds the rows, keeps the file open, and reads a row when it is asked for. */
export async function openCaptions(path: string, options: CaptionOptions = {}): Promise<Dataset & Disposable> {
  const { images = resolve(path, ".."), instructions = [IMAGE_PLACEHOLDER], seed = 0, signal } = options;
  checkOptions("openCaptions", options, OPTIONS, [
    instructions.length > 0 ? null : "instructions: expected at least one.",
    wholeFrom(0, "seed", seed),
    ...instructions.map((line) => (line.includes(IMAGE_PLACEHOLDER) ? null : `instructions: ${JSON.stringify(line)} shows no <image>.`)),
  ]);
  await checkFolder(options.images);
  const rows = await RowFile.open(path, signal);
  return {
    name: path,
    length: rows.length,
    sample(index, epoch = 0) {
      const { id, file, caption } = readCaption(rows, index);
      const question = new RandomStream(epochSeed(seed, epoch), CAPTIONS, index).pick(instructions);
      return {
        id,
        images: [image(resolve(images, file))],
        conversations: [
          { from: "human", value: question },
          { from: "gpt", value: caption },
        ],
      };
    },
    lengthOf: (index) => ({ length: wordsOf(rows, index), multimodal: true }),
    [Symbol.dispose]: () => rows.dispose(),
  };
}

interface CaptionRow {
  readonly id: string;
  readonly file: string;
  readonly caption: string;
}

function readCaption(rows: RowFile, row: number): CaptionRow {
  const { id, image: name, image_id: picture, caption } = rows.read(row);
  const problems: string[] = [];
  const isName = (value: unknown): value is string | number => (typeof value === "string" && value !== "") || typeof value === "number";
  const file = typeof name === "string" && name !== "" ? name : isName(picture) ? `${picture}.jpg` : null;
  if (file === null) problems.push(`expected "image" (a file name) or "image_id", found ${shown(name ?? picture)}`);
  if (typeof caption !== "string") problems.push(`caption: expected a text, found ${shown(caption)}`);
  if (file === null || typeof caption !== "string") throw new DataError("bad-row", `${problems.join("; ")}.`, { file: rows.path, row });
  return { id: isName(id) ? String(id) : `row ${row}`, file, caption };
}

/** A broken row, which cannot be measured, counts as one word. */
function wordsOf(rows: RowFile, row: number): number {
  try {
    return 1 + wordCount(readCaption(rows, row).caption);
  } catch (error) {
    if (error instanceof DataError && error.row !== null) return 1;
    throw error;
  }
}
