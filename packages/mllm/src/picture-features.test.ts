import { picture } from "@waggle/image";
import { Runtime } from "@waggle/runtime";
import { Tensor } from "onnxruntime-common";
import { afterAll, describe, expect, test } from "vitest";
import { PictureFeatures } from "./picture-features.ts";

const runtime = new Runtime({ worker: false });
afterAll(() => runtime.dispose());

const grey = (value: number) => picture(2, 1, new Uint8Array(6).fill(value));

/** Three tokens of width 2 per picture, all holding its first byte; `encoded` lists whom that was done for. */
async function store() {
  const encoded: number[] = [];
  const features = await PictureFeatures.create(runtime, {
    tokens: () => 3,
    width: 2,
    encode: async ({ data }, into, firstRow) => {
      const value = data[0] ?? 0;
      encoded.push(value);
      await into.write(new Tensor("float32", new Float32Array(6).fill(value), [3, 2]), { axis: 0, offset: [firstRow] });
    },
  });
  const at = async (firstRow: number) => [...new Set((await features.resident.read(firstRow, 3)).data as Float32Array)];
  return { features, encoded, at };
}

describe("pictures", () => {
  test("are encoded once, however often they come", async () => {
    const { features, encoded } = await store();
    const placed = await Promise.all([features.place(grey(1)), features.place(grey(2)), features.place(grey(1))]);
    expect(encoded).toEqual([1, 2]);
    expect(placed.map(({ firstRow }) => firstRow)).toEqual([0, 3, 0]);
    expect(placed[0]?.identity).toBe(placed[2]?.identity);
    expect(placed[0]?.identity).not.toBe(placed[1]?.identity);
  });

  test("of the same bytes but another form are others", async () => {
    const { features } = await store();
    const [wide, tall] = [picture(2, 1, new Uint8Array(6)), picture(1, 2, new Uint8Array(6))];
    expect((await features.place(wide)).identity).not.toBe((await features.place(tall)).identity);
  });

  test("in use are never overwritten, and survive a move; those unused for longest go first", async () => {
    const { features, encoded, at } = await store();
    const placed = await Promise.all(Array.from({ length: 8 }, (_, i) => features.place(grey(i))));
    for (const [i, { firstRow }] of placed.entries()) expect(await at(firstRow)).toEqual([i]);
    placed[3]?.release();
    placed[3]?.release(); // twice is once
    placed[5]?.release();
    const [nine, ten, eleven] = [await features.place(grey(9)), await features.place(grey(10)), await features.place(grey(11))];
    expect([nine.firstRow, ten.firstRow]).toEqual([placed[3]?.firstRow, placed[5]?.firstRow]);
    expect(eleven.firstRow).toBe(24); // all eight in use: more room
    for (const [i, { firstRow }] of placed.entries()) if (i !== 3 && i !== 5) expect(await at(firstRow)).toEqual([i]);
    await features.place(grey(0));
    await features.place(grey(3));
    expect(encoded).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 3]);
  });

  test("of different sizes lie beside each other; a larger one takes the place of several smaller", async () => {
    const features = await PictureFeatures.create(runtime, {
      tokens: ({ data }) => data[0] ?? 0,
      width: 2,
      encode: async ({ data }, into, firstRow) => {
        const rows = data[0] ?? 0;
        await into.write(new Tensor("float32", new Float32Array(2 * rows).fill(rows), [rows, 2]), { axis: 0, offset: [firstRow] });
      },
    });
    const held = async ({ firstRow, rows }: { firstRow: number; rows: number }) =>
      Array.from((await features.resident.read(firstRow, rows)).data as Float32Array).every((value) => value === rows);
    const placed: Awaited<ReturnType<typeof features.place>>[] = [];
    for (const size of [5, 1, 4, 2, 3, 6, 7, 8, 9]) placed.push(await features.place(grey(size)));
    for (const one of placed) expect(await held(one)).toBe(true);
    const ends = placed.map(({ firstRow, rows }) => [firstRow, firstRow + rows] as const).sort(([a], [b]) => a - b);
    for (const [i, [, end]] of ends.entries()) expect(end).toBeLessThanOrEqual(ends[i + 1]?.[0] ?? end);
    for (const one of placed) if (one.rows < 7) one.release();
    const later: Awaited<ReturnType<typeof features.place>>[] = [];
    for (const size of [10, 11, 12, 13, 14]) later.push(await features.place(grey(size)));
    for (const one of [...placed.filter(({ rows }) => rows >= 7), ...later]) expect(await held(one)).toBe(true);
    expect(features.resident.shape[0]).toBeLessThan(2 * 8 * 14);
  });

  test("that failed are tried again, and do not stop the next", async () => {
    const tried: number[] = [];
    const features = await PictureFeatures.create(runtime, {
      tokens: () => 1,
      width: 1,
      encode: async ({ data }) => {
        tried.push(data[0] ?? 0);
        if (tried.length === 1) throw new Error("no memory");
      },
    });
    const [first, second] = await Promise.allSettled([features.place(grey(1)), features.place(grey(2))]);
    expect([first.status, second.status]).toEqual(["rejected", "fulfilled"]);
    await features.place(grey(1));
    expect(tried).toEqual([1, 2, 1]);
    await expect(features.place(grey(7), AbortSignal.abort(new Error("no")))).rejects.toThrow("no");
    expect(tried).toEqual([1, 2, 1]);
  });
});
