/** Tensors of the tests: what a golden file holds, what a graph gives, and how near they must be. */
import { openSafetensors } from "@waggle/checkpoint";
import { Tensor } from "onnxruntime-node";
import { expect } from "vitest";

/** What a float32 layer may differ by, unless its case says otherwise: |a − b| ≤ abs + rel·|b|. */
export interface Tolerance {
  readonly abs?: number;
  readonly rel?: number;
}

/** All tensors of a safetensors file whose names begin with `prefix`, under what is left of the name. */
export async function readTensors(path: URL | string, prefix = ""): Promise<Readonly<Record<string, Tensor>>> {
  const { tensors } = await openSafetensors(path instanceof URL ? path.pathname : path);
  const found: Record<string, Tensor> = {};
  for (const [name, entry] of tensors) {
    if (!name.startsWith(prefix)) continue;
    const bytes = await entry.read();
    const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer;
    if (entry.dtype === "float32") found[name.slice(prefix.length)] = new Tensor("float32", new Float32Array(buffer), entry.shape);
    else if (entry.dtype === "int64") found[name.slice(prefix.length)] = new Tensor("int64", new BigInt64Array(buffer), entry.shape);
    else throw new TypeError(`readTensors: ${name} is ${entry.dtype}.`);
  }
  return found;
}

/** The tensor of that name; an error says which is not there. */
export function need(tensors: Readonly<Record<string, Tensor>>, name: string): Tensor {
  const found = tensors[name];
  if (found === undefined) throw new Error(`There is no ${name}, only ${Object.keys(tensors).join(", ")}.`);
  return found;
}

export function floats(tensor: Tensor | undefined): Float32Array {
  if (!(tensor?.data instanceof Float32Array)) throw new Error(`Expected float32 values, got ${tensor?.type}.`);
  return tensor.data;
}

export function integers(tensor: Tensor | undefined): number[] {
  if (!(tensor?.data instanceof BigInt64Array)) throw new Error(`Expected int64 values, got ${tensor?.type}.`);
  return Array.from(tensor.data, Number);
}

/** The metadata that reference/vectors.py wrote: every value is JSON. */
export async function readMetadata(path: URL): Promise<Readonly<Record<string, unknown>>> {
  const { metadata } = await openSafetensors(path.pathname);
  return Object.fromEntries(Object.entries(metadata).map(([key, text]) => [key, JSON.parse(text)]));
}

export function float32(values: readonly number[] | Float32Array, shape: readonly number[]): Tensor {
  return new Tensor("float32", Float32Array.from(values), shape);
}

export function int64(values: readonly (number | bigint)[], shape: readonly number[] = [values.length]): Tensor {
  return new Tensor("int64", BigInt64Array.from(values, BigInt), shape);
}

/** Element by element; the message names the worst element and both values. */
export function expectClose(actual: Tensor | undefined, expected: Tensor | undefined, { abs = 1e-5, rel = 1e-4 }: Tolerance = {}): void {
  if (actual === undefined || expected === undefined)
    throw new Error(`expectClose: ${actual === undefined ? "no result" : "no expectation"}.`);
  expect(actual.dims).toEqual(expected.dims);
  const [a, b] = [actual.data as Float32Array, expected.data as Float32Array];
  let [worst, at] = [0, -1];
  for (let i = 0; i < b.length; i++) {
    const distance = Math.abs((a[i] ?? Number.NaN) - (b[i] ?? Number.NaN));
    const excess = distance === 0 ? 0 : distance / (abs + rel * Math.abs(b[i] ?? 0));
    if (!(excess <= worst)) [worst, at] = [excess, i];
  }
  if (worst <= 1) return;
  throw new Error(
    `element ${at} of [${expected.dims}]: got ${a[at]}, expected ${b[at]} (|a − b| ≤ ${abs} + ${rel}·|b|, off by a factor of ${worst.toFixed(1)})`,
  );
}
