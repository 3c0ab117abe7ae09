/**
 * Peak memory of reading a 1 GB `.bin` tensor by tensor, the largest of which has 512 MiB.
 *
 *     npm run bench -- bin [--rounds 3]
 *
 * The file is written here as torch.save writes it (a zip of stored entries). Every round is a process of its own: memory
 * before the file is opened, then its peak over all tensors, read whole, and read as float32. At most 1.2 × the largest
 * array + 100 MB are allowed.
 */
import { execFileSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmSync, statSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { crc32 } from "node:zlib";
import { openCheckpoint, readFloat32, type TensorEntry } from "@waggle/checkpoint";
import { numberOption } from "./random-llama.ts";

const MiB = 2 ** 20;
const sizes = [64, 128, 512, 192, 96].map((size) => size * MiB);

interface Measured {
  readonly peak: number;
  readonly seconds: number;
}

const child = process.argv.indexOf("--child");
if (child >= 0) await measure(process.argv[child + 1] ?? "", process.argv[child + 2] === "float32");
else compare();

function compare(): void {
  const folder = mkdtempSync(join(tmpdir(), "waggle-bench-bin-"));
  try {
    const file = join(folder, "pytorch_model.bin");
    writeTorch(file, sizes);
    console.log(`${file}: ${(statSync(file).size / 1e9).toFixed(2)} GB, largest tensor ${(Math.max(...sizes) / 1e6).toFixed(0)} MB`);
    for (const what of ["as stored", "float32"]) {
      const largest = Math.max(...sizes) * (what === "float32" ? 2 : 1);
      const allowed = 1.2 * largest + 100e6;
      for (let round = 0; round < numberOption("rounds", 3); round++) {
        const args = [...process.execArgv, fileURLToPath(import.meta.url), "--child", file, what];
        const { peak, seconds } = JSON.parse(execFileSync(process.execPath, args, { encoding: "utf8" })) as Measured;
        const verdict = peak <= allowed ? "within" : "ABOVE";
        console.log(
          `${what.padEnd(9)}  peak ${(peak / 1e6).toFixed(0)} MB above the start in ${seconds.toFixed(1)} s; ${verdict} ${(allowed / 1e6).toFixed(0)} MB`,
        );
      }
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function measure(file: string, widen: boolean): Promise<void> {
  const before = process.memoryUsage().rss;
  const start = performance.now();
  let sum = 0;
  for (const tensor of (await openCheckpoint(file)).tensors.values()) sum += await last(tensor, widen);
  if (Number.isNaN(sum)) throw new Error("the tensors were read wrongly");
  const peak = process.resourceUsage().maxRSS * 1024 - before;
  console.log(JSON.stringify({ peak, seconds: (performance.now() - start) / 1000 } satisfies Measured));
}

/** A function of its own: what a loop's variable held stays in memory while the next tensor is awaited. */
async function last(tensor: TensorEntry, widen: boolean): Promise<number> {
  return (widen ? await readFloat32(tensor) : await tensor.read()).at(-1) ?? 0;
}

/** A state_dict of float16 vectors, of so many bytes each. */
function writeTorch(path: string, bytes: readonly number[]): void {
  const file = openSync(path, "w");
  const directory: Buffer[] = [];
  const piece = Buffer.alloc(MiB, 0x3c); // 1.0586 in float16
  let position = 0;
  const put = (part: Buffer): void => {
    writeSync(file, part);
    position += part.byteLength;
  };
  const entry = (name: string, parts: number, content: Buffer): void => {
    let crc = 0;
    for (let i = 0; i < parts; i++) crc = crc32(content, crc);
    const record = zipRecord(name, crc, parts * content.byteLength);
    directory.push(Buffer.concat([Buffer.from([0x50, 0x4b, 1, 2, 0, 0]), record.fields, Buffer.alloc(10), uint32(position), record.name]));
    put(Buffer.concat([Buffer.from([0x50, 0x4b, 3, 4]), record.fields, record.name]));
    for (let i = 0; i < parts; i++) put(content);
  };
  entry("archive/data.pkl", 1, statePickle(bytes.map((size) => size / 2)));
  for (const [i, size] of bytes.entries()) entry(`archive/data/${i}`, size / MiB, piece);
  const table = Buffer.concat(directory);
  const count = Buffer.from([directory.length, 0]);
  const end = [Buffer.from([0x50, 0x4b, 5, 6, 0, 0, 0, 0]), count, count, uint32(table.byteLength), uint32(position), Buffer.alloc(2)];
  put(Buffer.concat([table, ...end]));
  closeSync(file);
}

/** Version, flags, method, time, date, CRC, both sizes, length of the name; no further fields. APPNOTE.TXT 4.3.7. */
function zipRecord(name: string, crc: number, size: number): { fields: Buffer; name: Buffer } {
  const bytes = Buffer.from(name);
  return {
    fields: Buffer.concat([Buffer.alloc(10), uint32(crc), uint32(size), uint32(size), Buffer.from([bytes.byteLength, 0, 0, 0])]),
    name: bytes,
  };
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

/** `{ "0": tensor, … }` in protocol 2: each a vector over a storage of its own. */
function statePickle(lengths: readonly number[]): Buffer {
  const text = (value: string): Buffer => Buffer.concat([Buffer.from("X"), uint32(value.length), Buffer.from(value)]);
  const int = (value: number): Buffer => Buffer.concat([Buffer.from("J"), uint32(value)]);
  const tensors = lengths.flatMap((length, i) => [
    text(`${i}`),
    Buffer.from("ctorch._utils\n_rebuild_tensor_v2\n(("),
    text("storage"),
    Buffer.from("ctorch\nHalfStorage\n"),
    text(`${i}`),
    text("cpu"),
    int(length),
    Buffer.from("tQK\x00", "latin1"),
    int(length),
    Buffer.from("\x85K\x01\x85\x89ccollections\nOrderedDict\n)RtR", "latin1"),
  ]);
  return Buffer.concat([Buffer.from("\x80\x02}(", "latin1"), ...tensors, Buffer.from("u.")]);
}
