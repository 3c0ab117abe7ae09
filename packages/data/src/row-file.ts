/** A JSON file as rows that are read one by one: opening it finds where they lie and keeps 16 bytes for each. */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { open } from "node:fs/promises";
import { DataError } from "./data-error.ts";
import { beginningOf, LineScanner, ListScanner, type Rows } from "./scan-rows.ts";

/** A row that is longer is no conversation. */
const MAX_ROW_BYTES = 2 ** 24;
const MAX_ROWS = 2 ** 26;
const CHUNK = 2 ** 20;

export class RowFile implements Disposable {
  readonly path: string;
  readonly #spans: Float64Array;
  #descriptor: number | null;

  private constructor(path: string, rows: Rows, descriptor: number) {
    this.path = path;
    this.#spans = Float64Array.from(rows);
    this.#descriptor = descriptor;
  }

  static async open(path: string, signal?: AbortSignal): Promise<RowFile> {
    const rows = await findRows(path, signal);
    if (rows.length / 2 > MAX_ROWS) {
      throw new DataError("too-large", `${rows.length / 2} rows, the limit is ${MAX_ROWS}. Split the file.`, { file: path });
    }
    return new RowFile(path, rows, openSync(path, "r"));
  }

  get length(): number {
    return this.#spans.length / 2;
  }

  /** @throws DataError "bad-row" if the row is not a JSON object */
  read(row: number): Readonly<Record<string, unknown>> {
    const bytes = this.#bytes(row);
    let value: unknown;
    try {
      value = JSON.parse(bytes.toString());
    } catch (cause) {
      const what = cause instanceof Error ? cause.message : String(cause);
      throw new DataError("bad-row", `expected a JSON object: ${what}.`, { file: this.path, row, cause });
    }
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Readonly<Record<string, unknown>>;
    throw new DataError("bad-row", `expected a JSON object, found ${bytes.toString().slice(0, 40)}.`, { file: this.path, row });
  }

  #bytes(row: number): Buffer {
    const [start, end] = [this.#spans[row * 2], this.#spans[row * 2 + 1]];
    if (start === undefined || end === undefined) throw new RangeError(`${this.path}: no row ${row}, there are ${this.length}.`);
    if (this.#descriptor === null) throw new DataError("unreadable", "the data set has been disposed of.", { file: this.path, row });
    const size = end - start;
    if (size > MAX_ROW_BYTES) {
      throw new DataError("too-large", `the row has ${size} bytes, the limit is ${MAX_ROW_BYTES}.`, { file: this.path, row });
    }
    const bytes = Buffer.allocUnsafe(size);
    const count = readSync(this.#descriptor, bytes, 0, size, start);
    if (count < size) throw new DataError("unreadable", "the file has become shorter since it was opened.", { file: this.path, row });
    return bytes;
  }

  dispose(): void {
    if (this.#descriptor !== null) closeSync(this.#descriptor);
    this.#descriptor = null;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

async function findRows(path: string, signal: AbortSignal | undefined): Promise<Rows> {
  const head = readHead(path);
  const beginning = beginningOf(head, path);
  if (beginning.kind === "lines") return (await scanLines(path, { ofList: false }, signal)).rows;
  const scanner = new ListScanner(beginning);
  for await (const { bytes, offset } of chunks(path, beginning.at, signal)) {
    scanner.push(bytes, offset);
    if (scanner.done) break;
  }
  if (scanner.problem === null) return scanner.rows;
  // Where rows stand on lines of their own, a broken one takes only its line with it.
  const lines = await scanLines(path, { ofList: true }, signal);
  if (lines.mostlyObjects) return lines.rows;
  throw new DataError("not-json", `expected a JSON list, but ${scanner.problem}. Repair the file, or write one JSON object per line.`, {
    file: path,
  });
}

async function scanLines(path: string, options: { readonly ofList: boolean }, signal: AbortSignal | undefined): Promise<LineScanner> {
  const scanner = new LineScanner(options);
  for await (const { bytes, offset } of chunks(path, 0, signal)) scanner.push(bytes, offset);
  scanner.finish();
  return scanner;
}

function readHead(path: string): Buffer {
  let descriptor: number;
  try {
    descriptor = openSync(path, "r");
  } catch (cause) {
    const missing = (cause as NodeJS.ErrnoException).code === "ENOENT";
    throw new DataError(missing ? "not-found" : "unreadable", missing ? "no such file." : String(cause), { file: path, cause });
  }
  try {
    if (!fstatSync(descriptor).isFile()) throw new DataError("unreadable", "expected a file.", { file: path });
    const head = Buffer.alloc(4096);
    return head.subarray(0, readSync(descriptor, head, 0, head.length, 0));
  } finally {
    closeSync(descriptor);
  }
}

async function* chunks(path: string, from: number, signal: AbortSignal | undefined): AsyncGenerator<Chunk> {
  const handle = await open(path);
  try {
    for (let offset = from; ; ) {
      signal?.throwIfAborted();
      const { buffer, bytesRead } = await handle.read(Buffer.allocUnsafe(CHUNK), 0, CHUNK, offset);
      if (bytesRead === 0) return;
      yield { bytes: buffer.subarray(0, bytesRead), offset };
      offset += bytesRead;
    }
  } finally {
    await handle.close();
  }
}

interface Chunk {
  readonly bytes: Uint8Array;
  /** Where they lie in the file. */
  readonly offset: number;
}
