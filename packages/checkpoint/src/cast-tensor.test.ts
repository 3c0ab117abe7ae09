import { join } from "node:path";
import { castTensor, type FloatType, openSafetensors, type TensorSource } from "@waggle/checkpoint";
import { expect, test } from "vitest";

const vectors = join(import.meta.dirname, "__vectors__");

async function bits(source: TensorSource | undefined): Promise<Uint16Array> {
  const bytes = (await source?.read()) ?? new Uint8Array();
  return new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2);
}

const isNaN16 = { float16: (half: number) => (half & 0x7fff) > 0x7c00, bfloat16: (half: number) => (half & 0x7fff) > 0x7f80 };

test.each(["float16", "bfloat16"] as const)("rounds to %s as PyTorch does, bit by bit", async (dtype) => {
  const { tensors } = await openSafetensors(join(vectors, "from-float32.safetensors"));
  const source = tensors.get("float32") as TensorSource;
  const [ours, theirs] = [await bits(castTensor(source, dtype)), await bits(tensors.get(dtype))];
  expect(ours).toHaveLength(theirs.length);
  const wrong = Array.from(ours.keys()).filter((i) => {
    const [a = 0, b = 0] = [ours[i], theirs[i]];
    return isNaN16[dtype](b) ? !isNaN16[dtype](a) : a !== b;
  });
  expect(wrong).toEqual([]);
});

test("reads any whole number of elements, from any of them on", async () => {
  const { tensors } = await openSafetensors(join(vectors, "from-float32.safetensors"));
  for (const [from, to] of [
    ["float32", "float16"],
    ["float16", "float32"],
    ["bfloat16", "float16"],
  ] as const) {
    const cast = castTensor(tensors.get(from) as TensorSource, to);
    const whole = await cast.read();
    const bytes = to === "float32" ? 4 : 2;
    const piece = new Uint8Array(101 * bytes);
    await cast.readInto?.(piece, 1003 * bytes);
    expect(piece).toEqual(whole.slice(1003 * bytes, 1104 * bytes));
  }
});

test("integers stay, and so does what has the type", async () => {
  const { tensors } = await openSafetensors(join(vectors, "all-types.safetensors"));
  for (const [name, dtype] of [
    ["int64", "float16"],
    ["bool", "float32"],
    ["float16", "float16"],
  ] as [string, FloatType][]) {
    const source = tensors.get(`t.${name}`) as TensorSource;
    expect(castTensor(source, dtype)).toBe(source);
  }
});
