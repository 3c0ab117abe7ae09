/** Damaged PyTorch files, the same ones in every run: a thousand whose pickle is damaged, a thousand whose archive is. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { CheckpointError, openTorch } from "@waggle/checkpoint";
import { expect, test } from "vitest";
import { blindDamages, type Damage, generator, type Random } from "../test/damage.ts";
import { temporaryFolder } from "../test/files.ts";

const MUTANTS = 1000;
const vectors = join(import.meta.dirname, "__vectors__");
const bytesOf = { int64: 8, float64: 8, float32: 4, int32: 4, bfloat16: 2, float16: 2, int8: 1, uint8: 1, bool: 1 } as const;

/** Operations that take, make, repeat or remember; numbers and lengths at their edges. */
const operations = "()]}0123NKMJ\u0088\u0089\u008a\u008b2qhrjtl\u0085\u0086\u0087daesuRb\u0081Q.\u0093\u0094\u0095\u008c\u008dcXBCUTG";
const edges = [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff];

const pickleDamages: readonly Damage[] = [
  ...blindDamages,
  function otherOperation(bytes, random) {
    bytes.writeUInt8(operations.charCodeAt(random(operations.length)), random(bytes.length));
    return bytes;
  },
  function insertOperations(bytes, random) {
    const made = Buffer.from(Array.from({ length: 1 + random(8) }, () => operations.charCodeAt(random(operations.length))));
    return insert(bytes, random(bytes.length), made);
  },
  function otherNumber(bytes, random) {
    bytes.writeUInt32LE(edges[random(edges.length)] ?? 0, random(bytes.length - 4));
    return bytes;
  },
  // What has itself inside twice, thirty times over, where a value, a name or a key is expected.
  function doubled(bytes, random) {
    const twice = Buffer.from(`)${"2\u0086".repeat(30)}`, "latin1");
    const end = ["", "2\u0093", "2s", "\u0085R", "Q"][random(5)] ?? "";
    return insert(bytes, random(2) === 0 ? bytes.length - 1 : random(bytes.length), Buffer.concat([twice, Buffer.from(end, "latin1")]));
  },
  function inItself(bytes, random) {
    return insert(bytes, random(bytes.length), Buffer.from("]q\u0000h\u0000a", "latin1"));
  },
  function deep(bytes, random) {
    return insert(bytes, random(bytes.length), Buffer.from("(".repeat(random(50_000)) + "]\u0085".repeat(random(50_000)), "latin1"));
  },
];

function insert(bytes: Buffer, at: number, piece: Buffer): Buffer {
  return Buffer.concat([bytes.subarray(0, at), piece, bytes.subarray(at)]);
}

const records = {
  end: "PK\u0005\u0006",
  entry: "PK\u0001\u0002",
  local: "PK\u0003\u0004",
  end64: "PK\u0006\u0006",
  locator64: "PK\u0006\u0007",
};

const archiveDamages: readonly Damage[] = [
  ...blindDamages,
  ...Object.values(records).map(
    (signature): Damage =>
      (bytes, random) => {
        const places = placesOf(bytes, signature);
        const at = (places[random(places.length)] ?? 0) + random(48);
        const value = edges[random(edges.length)] ?? random(2 ** 32);
        if (random(2) === 0 && at + 2 <= bytes.length) bytes.writeUInt16LE(value & 0xffff, at);
        else if (at + 4 <= bytes.length) bytes.writeUInt32LE(value, at);
        return bytes;
      },
  ),
  function recordTwice(bytes, random) {
    const places = placesOf(bytes, records.entry);
    const at = places[random(places.length)] ?? 0;
    return insert(bytes, at, bytes.subarray(at, at + 46 + random(64)));
  },
];

function placesOf(bytes: Buffer, signature: string): number[] {
  const places: number[] = [];
  for (let at = bytes.indexOf(signature, 0, "latin1"); at >= 0; at = bytes.indexOf(signature, at + 1, "latin1")) places.push(at);
  return places;
}

/** The archive with another pickle, whose size and checksum are right: so the damage reaches the reader of pickles. */
function withPickle(pickle: Buffer): Buffer {
  const name = Buffer.from("archive/data.pkl");
  const fields = Buffer.alloc(26);
  fields.writeUInt32LE(crc32(pickle), 10);
  fields.writeUInt32LE(pickle.length, 14);
  fields.writeUInt32LE(pickle.length, 18);
  fields.writeUInt16LE(name.length, 22);
  const storages = Array.from({ length: 15 }, (_, key) => storageRecord(`archive/data/${key}`));
  const files = [{ name, fields, content: pickle }, ...storages];
  const table: Buffer[] = [];
  const parts: Buffer[] = [];
  let position = 0;
  for (const { name, fields, content } of files) {
    const place = Buffer.alloc(14);
    place.writeUInt32LE(position, 10);
    table.push(Buffer.concat([Buffer.from(records.entry, "latin1"), Buffer.alloc(2), fields, place, name]));
    const local = Buffer.concat([Buffer.from(records.local, "latin1"), fields, name, content]);
    parts.push(local);
    position += local.length;
  }
  const directory = Buffer.concat(table);
  const end = Buffer.alloc(22);
  end.write(records.end, "latin1");
  end.writeUInt16LE(files.length, 8);
  end.writeUInt16LE(files.length, 10);
  end.writeUInt32LE(directory.length, 12);
  end.writeUInt32LE(position, 16);
  return Buffer.concat([...parts, directory, end]);
}

function storageRecord(path: string): { name: Buffer; fields: Buffer; content: Buffer } {
  const [name, content, fields] = [Buffer.from(path), Buffer.alloc(512, 1), Buffer.alloc(26)];
  fields.writeUInt32LE(content.length, 14);
  fields.writeUInt32LE(content.length, 18);
  fields.writeUInt16LE(name.length, 22);
  return { name, fields, content };
}

/** The pickle of an archive by torch.save. */
function pickleIn(file: string): Buffer {
  const bytes = readFileSync(join(vectors, file));
  const at = bytes.indexOf("data.pkl") + "data.pkl".length;
  const start = bytes.indexOf(0x80, at); // PROTO; behind the name there is padding
  return bytes.subarray(start, bytes.indexOf(records.local, start, "latin1"));
}

const pickles = ["torch-zip.pt", "torch-zip-protocol5.pt"].map(pickleIn);
const archives = ["torch-zip.pt", "torch-zip64.pt", "torch-legacy.pt"].map((file) => readFileSync(join(vectors, file)));

const cases: readonly (readonly [what: string, make: (seed: number) => Buffer])[] = [
  ["pickles", (seed) => withPickle(mutant(pickles, pickleDamages, seed))],
  ["archives", (seed) => mutant(archives, archiveDamages, seed)],
];

function mutant(originals: readonly Buffer[], damages: readonly Damage[], seed: number): Buffer {
  const random: Random = generator(seed);
  const original = originals[Math.floor(seed / damages.length) % originals.length] ?? Buffer.alloc(0);
  return damages[seed % damages.length]?.(Buffer.from(original), random) ?? original;
}

test("the undamaged pickle opens in its new archive", async () => {
  const path = join(temporaryFolder(), "whole.pt");
  for (const pickle of pickles) {
    writeFileSync(path, withPickle(pickle));
    expect((await openTorch(path)).tensors.size).toBe(21);
  }
});

test.each(cases)(`${MUTANTS} damaged %s`, { timeout: 60_000 }, async (_, make) => {
  const path = join(temporaryFolder(), "mutant.pt");
  const before = process.memoryUsage().rss;
  let [refused, slowest, largest] = [0, 0, 0];
  for (let seed = 0; seed < MUTANTS; seed++) {
    writeFileSync(path, make(seed));
    const start = performance.now();
    const error = await readAll(path).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    slowest = Math.max(slowest, performance.now() - start);
    largest = Math.max(largest, process.memoryUsage().rss - before);
    if (error instanceof CheckpointError) refused += 1;
    else if (error !== undefined) throw new Error(`seed ${seed} is no CheckpointError`, { cause: error });
  }
  expect(refused).toBeGreaterThan(MUTANTS / 4);
  expect(slowest).toBeLessThan(2000);
  expect(largest).toBeLessThan(200 * 2 ** 20);
});

/** What is accepted has as many bytes as it says. */
async function readAll(path: string): Promise<void> {
  for (const { shape, dtype, read } of (await openTorch(path)).tensors.values()) {
    expect((await read()).byteLength).toBe(shape.reduce((product, dim) => product * dim, bytesOf[dtype]));
  }
}
