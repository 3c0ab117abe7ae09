/**
 * TensorBoard's event file: records, each
 *
 *     length         uint64, little-endian
 *     masked crc32c  of the length
 *     data           an Event message
 *     masked crc32c  of the data
 *
 * format  TensorFlow's TFRecord (tensorflow/core/lib/io/record_writer.h); crc32c is RFC 3720's, its mask that of LevelDB
 */
import { type FileHandle, open } from "node:fs/promises";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { EventSchema } from "../../proto/tensorboard_pb.js";

export type EventInit = MessageInitShape<typeof EventSchema>;

export class EventFile {
  readonly #file: FileHandle;

  private constructor(file: FileHandle) {
    this.#file = file;
  }

  /** A file that is not there yet. */
  static async create(path: string): Promise<EventFile> {
    return new EventFile(await open(path, "wx"));
  }

  async append(event: EventInit): Promise<void> {
    await this.#file.appendFile(record(toBinary(EventSchema, create(EventSchema, event))));
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

function record(data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(12 + data.length + 4);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(data.length), true);
  view.setUint32(8, masked(crc32c(bytes.subarray(0, 8))), true);
  bytes.set(data, 12);
  view.setUint32(12 + data.length, masked(crc32c(data)), true);
  return bytes;
}

const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1; // Castagnoli's polynomial, reflected
  return value;
});

export function crc32c(bytes: Uint8Array): number {
  let value = 0xffffffff;
  for (const byte of bytes) value = (table[(value ^ byte) & 0xff] ?? 0) ^ (value >>> 8);
  return (value ^ 0xffffffff) >>> 0;
}

/** A checksum of data that holds checksums would be a poor one. */
function masked(crc: number): number {
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}
