import { join } from "node:path";
import { openSafetensors } from "@waggle/checkpoint";
import { expect, test } from "vitest";
import { byteLengthOf } from "./data-type.ts";
import { toFloat32 } from "./float32.ts";

const bitsOf = (values: Float32Array): Uint32Array => new Uint32Array(values.buffer, values.byteOffset, values.length);

test("agrees with PyTorch on every type, bit by bit", async () => {
  const { tensors } = await openSafetensors(join(import.meta.dirname, "__vectors__/to-float32.safetensors"));
  const stored = [...tensors.values()].filter(({ name }) => name.startsWith("stored."));
  expect(stored).toHaveLength(8);
  for (const entry of stored) {
    const converted = new Float32Array((byteLengthOf("float32", entry.shape) ?? 0) / 4);
    toFloat32(entry.dtype, await entry.read(), converted);
    const expected = await tensors.get(entry.name.replace("stored", "float32"))?.read();
    const reference = new Float32Array(expected?.buffer ?? new ArrayBuffer(0));
    expect(reference).toHaveLength(converted.length);
    const wrong = [...converted.keys()].filter((index) => {
      const [ours = 0, theirs = 0] = [bitsOf(converted)[index], bitsOf(reference)[index]];
      // Which bits a NaN carries is the processor's choice in PyTorch; that it is one, and its sign, is not.
      return Number.isNaN(converted[index]) ? !Number.isNaN(reference[index]) || ours >>> 31 !== theirs >>> 31 : ours !== theirs;
    });
    expect([entry.dtype, wrong]).toEqual([entry.dtype, []]);
  }
});

test("widens every float16 to the value that its bits mean", () => {
  const all = Uint16Array.from({ length: 65536 }, (_, half) => half);
  const converted = new Float32Array(65536);
  toFloat32("float16", new Uint8Array(all.buffer), converted);
  for (let half = 0; half < 65536; half++) {
    const [sign, exponent, fraction] = [half >>> 15 ? -1 : 1, (half >>> 10) & 31, half & 1023];
    const special = fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
    const finite = sign * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15));
    if (!Object.is(converted[half], exponent === 31 ? special : finite)) expect([half, converted[half]]).toEqual([half, finite]);
  }
});

test("widens every bfloat16 by its place in the upper half", () => {
  const all = Uint16Array.from({ length: 65536 }, (_, half) => half);
  const converted = new Float32Array(65536);
  toFloat32("bfloat16", new Uint8Array(all.buffer), converted);
  expect(bitsOf(converted)).toEqual(Uint32Array.from({ length: 65536 }, (_, half) => half * 65536));
});
