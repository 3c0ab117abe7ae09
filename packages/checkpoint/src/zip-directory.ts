/**
 * The table of contents of a zip file whose entries are stored as they are, which is how PyTorch writes: so an entry is a
 * range of the file, and nothing is ever unpacked. Zip64 included; compressed or encrypted entries are refused by name.
 */
import type { FileHandle } from "node:fs/promises";
import { CheckpointError, type CheckpointErrorCode, shorten } from "./checkpoint-error.ts";
import { readExactly } from "./open-file.ts";

export interface ZipEntry {
  readonly offset: number;
  readonly byteLength: number;
  readonly crc32: number;
}

// Signatures and fixed parts of the records (APPNOTE.TXT 4.3).
const END = { signature: 0x06054b50, bytes: 22 };
const END_LOCATOR_64 = { signature: 0x07064b50, bytes: 20 };
const END_64 = { signature: 0x06064b50, bytes: 56 };
const ENTRY = { signature: 0x02014b50, bytes: 46 };
const LOCAL = { signature: 0x04034b50, bytes: 30 };
const LONGEST_COMMENT = 0xffff;
const LARGEST_DIRECTORY = 100_000_000;
const SEE_EXTRA = 0xffffffff; // the true number is in the Zip64 field

export async function readZipDirectory(file: FileHandle, path: string, size: number): Promise<ReadonlyMap<string, ZipEntry>> {
  const fail = (code: CheckpointErrorCode, message: string, entry?: string): never => {
    throw new CheckpointError({ code, file: path, message, ...(entry === undefined ? {} : { entry }) });
  };
  const view = async (offset: number, length: number): Promise<DataView> => {
    if (!Number.isSafeInteger(offset) || offset < 0 || offset + length > size) {
      fail("invalid_header", `its table of contents points to bytes ${offset}–${offset + length}, the file has ${size}.`);
    }
    const bytes = new Uint8Array(length);
    await readExactly(file, path, bytes, offset);
    return new DataView(bytes.buffer);
  };
  const { count, offset, byteLength } = await findDirectory(view, size, fail);
  if (byteLength > LARGEST_DIRECTORY)
    fail("too_large", `its table of contents has ${byteLength} bytes, the limit is ${LARGEST_DIRECTORY}.`);
  const directory = await view(offset, byteLength);
  const entries = new Map<string, ZipEntry>();
  let at = 0;
  for (let index = 0; index < count; index++) {
    if (at + ENTRY.bytes > byteLength || directory.getUint32(at, true) !== ENTRY.signature) {
      fail("invalid_header", `its table of contents ends after ${index} of ${count} entries.`);
    }
    const { name, method, flags, stored, next, ...entry } = readEntry(directory, at, fail);
    if (entries.has(name)) fail("duplicate", "occurs twice in the archive.", name);
    if (method !== 0 || flags & 1) fail("unsupported", "is compressed or encrypted; PyTorch stores its entries as they are.", name);
    if (stored !== entry.byteLength) fail("wrong_size", `is stored in ${stored} bytes, but should have ${entry.byteLength}.`, name);
    const local = await view(entry.local, LOCAL.bytes);
    if (local.getUint32(0, true) !== LOCAL.signature) fail("invalid_header", "does not begin where the table of contents says.", name);
    const start = entry.local + LOCAL.bytes + local.getUint16(26, true) + local.getUint16(28, true);
    if (start + entry.byteLength > offset)
      fail("out_of_range", `reaches to byte ${start + entry.byteLength}, into the table of contents.`, name);
    entries.set(name, { offset: start, byteLength: entry.byteLength, crc32: entry.crc32 });
    at = next;
  }
  return entries;
}

type Fail = (code: CheckpointErrorCode, message: string, entry?: string) => never;
type ReadView = (offset: number, length: number) => Promise<DataView>;

/** The record at the file's end, found backwards over a comment; the Zip64 one where it says so. */
async function findDirectory(view: ReadView, size: number, fail: Fail): Promise<{ count: number; offset: number; byteLength: number }> {
  const tailStart = Math.max(0, size - END.bytes - LONGEST_COMMENT);
  const tail = await view(tailStart, size - tailStart);
  let at = tail.byteLength - END.bytes;
  while (at >= 0 && tail.getUint32(at, true) !== END.signature) at -= 1;
  if (at < 0) return fail("truncated", "has no table of contents at its end: the file is cut off. Copy or download it again.");
  const [count, byteLength, offset] = [tail.getUint16(at + 10, true), tail.getUint32(at + 12, true), tail.getUint32(at + 16, true)];
  const locatorAt = tailStart + at - END_LOCATOR_64.bytes;
  const locator = locatorAt < 0 ? undefined : await view(locatorAt, END_LOCATOR_64.bytes);
  if (locator?.getUint32(0, true) !== END_LOCATOR_64.signature) return { count, offset, byteLength };
  const end = await view(Number(locator.getBigUint64(8, true)), END_64.bytes);
  if (end.getUint32(0, true) !== END_64.signature) fail("invalid_header", "its Zip64 table of contents is not where it should be.");
  return {
    count: Number(end.getBigUint64(32, true)),
    byteLength: Number(end.getBigUint64(40, true)),
    offset: Number(end.getBigUint64(48, true)),
  };
}

interface RawEntry extends Omit<ZipEntry, "offset"> {
  readonly name: string;
  readonly flags: number;
  readonly method: number;
  readonly stored: number;
  readonly local: number;
  readonly next: number;
}

function readEntry(directory: DataView, at: number, fail: Fail): RawEntry {
  const [nameLength, extraLength, commentLength] = [28, 30, 32].map((field) => directory.getUint16(at + field, true)) as [
    number,
    number,
    number,
  ];
  const nameStart = at + ENTRY.bytes;
  const extraStart = nameStart + nameLength;
  const next = extraStart + extraLength + commentLength;
  if (next > directory.byteLength) fail("invalid_header", "its table of contents is cut off.");
  const name = new TextDecoder().decode(new Uint8Array(directory.buffer, nameStart, nameLength));
  const wide = wideNumbers(directory, extraStart, extraLength);
  const [stored, byteLength, local] = [20, 24, 42].map((field) => directory.getUint32(at + field, true)) as [number, number, number];
  // The Zip64 field holds, in this order, those of the three that did not fit.
  const pick = (narrow: number): number => {
    if (narrow !== SEE_EXTRA) return narrow;
    return Number(wide.shift() ?? fail("invalid_header", "lacks its Zip64 sizes.", shorten(name)));
  };
  const sizes = { byteLength: pick(byteLength), stored: pick(stored), local: pick(local) };
  return {
    name,
    flags: directory.getUint16(at + 8, true),
    method: directory.getUint16(at + 10, true),
    crc32: directory.getUint32(at + 16, true),
    ...sizes,
    next,
  };
}

function wideNumbers(directory: DataView, start: number, length: number): bigint[] {
  const ZIP64 = 1;
  for (let at = start; at + 4 <= start + length; ) {
    const [id, size] = [directory.getUint16(at, true), directory.getUint16(at + 2, true)];
    const end = Math.min(at + 4 + size, start + length);
    if (id === ZIP64) {
      return Array.from({ length: Math.floor((end - at - 4) / 8) }, (_, index) => directory.getBigUint64(at + 4 + 8 * index, true));
    }
    at = end;
  }
  return [];
}
