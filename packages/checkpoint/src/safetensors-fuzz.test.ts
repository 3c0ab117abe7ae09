/** Damaged files, a thousand of them, the same ones in every run: each is a typed error or read as what it says. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Checkpoint, CheckpointError, openSafetensors } from "@waggle/checkpoint";
import { expect, test } from "vitest";
import { blindDamages, type Damage, generator, type Random } from "../test/damage.ts";
import { temporaryFolder } from "../test/files.ts";

const MUTANTS = 1000;

const NUMBERS = ["0", "1", "-1", "1e308", "9007199254740993", "18446744073709551615", "4.5", "null", '"4"', "[]", "{}"];

/** Every way of damage that we could think of. Those that know the header's grammar get deeper than random bits. */
const damages: readonly Damage[] = [
  ...blindDamages,
  function otherHeaderLength(bytes, random) {
    bytes.writeBigUInt64LE([BigInt(random(2000)), 2n ** BigInt(random(64)), 2n ** 64n - 1n - BigInt(random(9))][random(3)] ?? 0n);
    return bytes;
  },
  (bytes, random) => inHeader(bytes, (json) => replaceOne(json, /-?\d+/g, NUMBERS[random(NUMBERS.length)] ?? "", random)),
  (bytes, random) => inHeader(bytes, (json) => replaceOne(json, /[[\]{},:"]/g, '[]{},:"'[random(7)] ?? "", random)),
  (bytes, random) =>
    inHeader(bytes, (json) => replaceOne(json, /"(?:[A-Z]+\d*)"/g, ['"F32"', '"F4"', '"__proto__"', '""', "7"][random(5)] ?? "", random)),
  (bytes, random) =>
    inHeader(bytes, (json) =>
      replaceOne(json, /"[^"]+":/g, ['"t.int8":', '"__metadata__":', '"shape":', '"__proto__":'][random(4)] ?? "", random),
    ),
  (bytes, random) => inHeader(bytes, (json) => json.slice(0, random(json.length)) + "[".repeat(1 + random(20_000))), // deep nesting
];

function inHeader(bytes: Buffer, change: (json: string) => string): Buffer {
  const length = Number(bytes.readBigUInt64LE());
  const json = Buffer.from(change(bytes.toString("utf8", 8, 8 + length)));
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([prefix, json, bytes.subarray(8 + length)]);
}

function replaceOne(text: string, what: RegExp, by: string, random: Random): string {
  const found = [...text.matchAll(what)];
  const { index = 0, 0: old = "" } = found[random(found.length)] ?? { 0: "" };
  return text.slice(0, index) + by + text.slice(index + old.length);
}

/** What an accepted file says, read by other means. */
async function expectAsWritten(bytes: Buffer, { tensors }: Checkpoint): Promise<void> {
  const dataStart = 8 + Number(bytes.readBigUInt64LE());
  const { __metadata__: _, ...header } = JSON.parse(bytes.toString("utf8", 8, dataStart)) as Record<
    string,
    { shape: number[]; data_offsets: [number, number] }
  >;
  expect([...tensors.keys()]).toEqual(Object.keys(header));
  for (const [name, { shape, data_offsets }] of Object.entries(header)) {
    expect(tensors.get(name)?.shape).toEqual(shape);
    expect(Buffer.from((await tensors.get(name)?.read()) ?? [])).toEqual(
      bytes.subarray(dataStart + data_offsets[0], dataStart + data_offsets[1]),
    );
  }
}

test(`${MUTANTS} damaged files`, { timeout: 30_000 }, async () => {
  const original = readFileSync(join(import.meta.dirname, "__vectors__/all-types.safetensors"));
  const path = join(temporaryFolder(), "mutant.safetensors");
  const before = process.memoryUsage().rss;
  const outcomes = { accepted: 0, refused: 0 };
  let [slowest, largest] = [0, 0];
  for (let seed = 0; seed < MUTANTS; seed++) {
    const random = generator(seed);
    const damage = damages[seed % damages.length] ?? damages[0];
    const bytes = damage?.(Buffer.from(original), random) ?? original;
    writeFileSync(path, bytes);
    const start = performance.now();
    const result = await openSafetensors(path).catch((error: unknown) => error);
    slowest = Math.max(slowest, performance.now() - start);
    largest = Math.max(largest, process.memoryUsage().rss - before);
    if (result instanceof CheckpointError) outcomes.refused += 1;
    else if (result instanceof Error) throw new Error(`seed ${seed}: ${result.name} is no CheckpointError`, { cause: result });
    else {
      outcomes.accepted += 1;
      await expectAsWritten(bytes, result as Checkpoint);
    }
  }
  expect(outcomes.accepted + outcomes.refused).toBe(MUTANTS);
  expect(outcomes.refused).toBeGreaterThan(MUTANTS / 2);
  expect(outcomes.accepted).toBeGreaterThan(10); // damage to the data alone cannot be seen, and must not be misread
  expect(slowest).toBeLessThan(1000);
  expect(largest).toBeLessThan(200 * 2 ** 20);
});
