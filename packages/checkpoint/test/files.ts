/** A folder that is gone after the test, and safetensors files written byte by byte, right or wrong. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";

export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "waggle-checkpoint-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export interface RawFile {
  readonly header: unknown; // a string is taken as it is
  readonly data?: Uint8Array | number; // a number: that many bytes
  readonly headerLength?: bigint; // instead of the true one
}

export function rawSafetensors({ header, data = 0, headerLength }: RawFile): Uint8Array {
  const json = Buffer.from(typeof header === "string" ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(headerLength ?? BigInt(json.byteLength));
  return Buffer.concat([length, json, typeof data === "number" ? new Uint8Array(data).fill(1) : data]);
}

/** Writes a file into a folder of its own; returns its path. */
export function fileWith(bytes: Uint8Array | string, name = "model.safetensors"): string {
  const path = join(temporaryFolder(), name);
  writeFileSync(path, bytes);
  return path;
}

/** What a promise was rejected with. */
export async function rejection(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    (value) => {
      throw new Error(`expected a rejection, got ${String(value)}`);
    },
    (error: unknown) => error,
  );
}
