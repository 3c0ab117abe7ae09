/**
 * The header of a safetensors file: u64 length, that many bytes of JSON, then the tensors' bytes.
 *
 *     { "__metadata__": { string: string }, name: { dtype, shape, data_offsets: [begin, end] }, … }
 *
 * Valid means: the tensors fill the rest of the file completely, none overlaps another, each has exactly the bytes
 * that its shape needs, and no name occurs twice. Everything that is wrong is collected, never only the first.
 */
import { type CheckpointErrorCode, type Problem, shorten, throwIfAny } from "./checkpoint-error.ts";
import { byteLengthOf, type DataType, dataTypeOf, dataTypes, safetensorsNames } from "./data-type.ts";
import { duplicateKeys } from "./json-structure.ts";
import { decodeUtf8, parseJson } from "./read-json.ts";

export interface HeaderEntry {
  readonly name: string;
  readonly dtype: DataType;
  readonly shape: readonly number[];
  /** First byte and the one behind the last, counted from the end of the header. */
  readonly begin: number;
  readonly end: number;
}

export interface SafetensorsHeader {
  readonly entries: readonly HeaderEntry[];
  readonly metadata: Readonly<Record<string, string>>;
}

interface Range {
  readonly name: string;
  readonly begin: number;
  readonly end: number;
}

type Report = (code: CheckpointErrorCode, entry: string | undefined, message: string) => void;

/** Reads the JSON of a header whose file has `dataBytes` bytes behind it. Throws one error with all problems. */
export function parseHeader(json: Uint8Array, dataBytes: number, file: string): SafetensorsHeader {
  const parsed = parseJson(json, file);
  const problems: Problem[] = [];
  const report: Report = (code, entry, message) => problems.push({ code, file, message, ...(entry === undefined ? {} : { entry }) });
  if (!isRecord(parsed)) {
    report("invalid_header", undefined, `the header is ${kindOf(parsed)}, expected an object. This is no safetensors file.`);
    throwIfAny(problems);
    return { entries: [], metadata: {} };
  }
  for (const name of duplicateKeys(decodeUtf8(json, file))) {
    report("duplicate", name, "occurs twice in the header.");
  }
  const { __metadata__: rawMetadata, ...tensors } = parsed;
  const metadata = readMetadata(rawMetadata, report);
  const entries: HeaderEntry[] = [];
  const ranges: Range[] = [];
  const all = Object.entries(tensors);
  for (const [name, description] of all) {
    const range = readOffsets(name, description, dataBytes, report);
    if (range) ranges.push(range);
    const entry = readEntry(name, description, range, report);
    if (entry) entries.push(entry);
  }
  // A range that could not be read leaves a gap which is not worth a second report.
  checkCoverage(ranges, dataBytes, ranges.length === all.length, report);
  throwIfAny(problems);
  return { entries, metadata };
}

function readMetadata(raw: unknown, report: Report): Record<string, string> {
  if (raw === undefined) return {};
  if (isRecord(raw) && Object.values(raw).every((value) => typeof value === "string")) {
    return raw as Record<string, string>;
  }
  report("invalid_header", "__metadata__", "expected an object whose values are strings.");
  return {};
}

function readOffsets(name: string, description: unknown, dataBytes: number, report: Report): Range | undefined {
  if (!isRecord(description)) {
    report("invalid_entry", name, `is ${kindOf(description)}, expected { dtype, shape, data_offsets }.`);
    return undefined;
  }
  const offsets = description.data_offsets;
  if (!isSizes(offsets) || offsets.length !== 2) {
    report("invalid_entry", name, "data_offsets: expected two whole numbers ≥ 0.");
    return undefined;
  }
  const [begin = 0, end = 0] = offsets;
  if (begin > end) {
    report("invalid_entry", name, `data_offsets [${begin}, ${end}] run backwards.`);
    return undefined;
  }
  if (end > dataBytes) {
    report(
      "out_of_range",
      name,
      `data_offsets [${begin}, ${end}] reach beyond the ${dataBytes} bytes behind the header. If the file was cut off, copy or download it again.`,
    );
  }
  return { name, begin, end };
}

function readEntry(name: string, description: unknown, range: Range | undefined, report: Report): HeaderEntry | undefined {
  if (!isRecord(description)) return undefined; // reported with the offsets
  const unknown = Object.keys(description).filter((key) => !["dtype", "shape", "data_offsets"].includes(key));
  if (unknown.length > 0) report("invalid_entry", name, `unknown field ${shorten(unknown.join(", "))}.`);
  const { dtype: storedType, shape } = description;
  const dtype = typeof storedType === "string" ? dataTypeOf(storedType) : undefined;
  if (dtype === undefined) {
    report(
      "unknown_dtype",
      name,
      `dtype ${shorten(String(JSON.stringify(storedType)))} is unknown. Known: ${safetensorsNames.join(", ")}.`,
    );
  }
  if (!isSizes(shape)) {
    report("invalid_entry", name, "shape: expected a list of whole numbers ≥ 0.");
    return undefined;
  }
  if (dtype === undefined || range === undefined) return undefined;
  const { begin, end } = range;
  const needed = byteLengthOf(dtype, shape);
  if (needed !== end - begin) {
    const expected = needed === undefined ? "more than 2^53" : String(needed);
    report(
      "wrong_size",
      name,
      `${dataTypes[dtype].safetensors} [${shape.join(", ")}] needs ${expected} bytes, data_offsets hold ${end - begin}.`,
    );
    return undefined;
  }
  return { name, dtype, shape, begin, end };
}

function checkCoverage(ranges: readonly Range[], dataBytes: number, complete: boolean, report: Report): void {
  const sorted = [...ranges].sort((a, b) => a.begin - b.begin || a.end - b.end);
  let covered = 0;
  let previous: Range | undefined;
  for (const range of sorted) {
    if (previous && range.begin < covered) {
      report("overlap", range.name, `bytes ${range.begin}–${range.end} overlap ${previous.name} (${previous.begin}–${previous.end}).`);
    } else if (complete && range.begin > covered) {
      report("gap", range.name, `begins at ${range.begin}, but the tensors before it end at ${covered}.`);
    }
    if (range.end >= covered) {
      covered = range.end;
      previous = range;
    }
  }
  if (complete && covered < dataBytes) {
    report("gap", undefined, `${dataBytes - covered} bytes behind the last tensor belong to none.`);
  }
}

function isSizes(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0);
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function kindOf(value: unknown): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "a list" : typeof value === "object" ? "an object" : `a ${typeof value}`;
}
