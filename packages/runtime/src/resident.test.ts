import { type GraphDefinition, input, ops, symbol } from "@waggle/graph";
import { Tensor } from "onnxruntime-common";
import { afterAll, expect, test } from "vitest";
import { type Resident, Runtime } from "./index.ts";

const runtime = new Runtime({ threads: 1 });
afterAll(() => runtime.dispose());

const [B, P, S] = [symbol("B"), symbol("P"), symbol("S")];
const iota = (dims: readonly number[], from = 1) =>
  new Tensor(
    "float32",
    Float32Array.from({ length: dims.reduce((x, y) => x * y, 1) }, (_, i) => from + i),
    dims,
  );

/** What the cache of a decoder does: gives its past, takes the new keys [B, 2, 3, S] and values [B, 2, S, 3]. */
function cacheGraph() {
  const [pastKey, newKey] = [input("past_key", "float32", [B, 2, 3, P]), input("new_key", "float32", [B, 2, 3, S])];
  const newValue = input("new_value", "float32", [B, 2, S, 3]);
  const outputs = {
    past: ops.reduceSum(pastKey, { axes: [1, 2, 3], keepDims: false }),
    key: ops.mul(newKey, 1),
    value: ops.mul(newValue, 1),
  };
  return { name: "cache", inputs: { past_key: pastKey, new_key: newKey, new_value: newValue }, outputs } satisfies GraphDefinition;
}

/** Element by element, with the indices in the clear: where `place` says, the source's element, elsewhere 0. */
function expected(dims: readonly number[], place: (index: readonly number[]) => number): number[] {
  const all: number[] = [];
  const walk = (index: readonly number[]): void => {
    if (index.length === dims.length) all.push(place(index));
    else for (let i = 0; i < (dims[index.length] ?? 0); i++) walk([...index, i]);
  };
  walk([]);
  return all;
}

function at({ dims, data }: Tensor, index: readonly number[]): number {
  return Number(data[index.reduce((position, i, axis) => position * (dims[axis] ?? 0) + i, 0)]);
}

const values = async (resident: Resident) => [...(await resident.read()).data];

test("is allocated as zeros, read whole or by rows", async () => {
  using resident = await runtime.allocate("float32", [3, 2]);
  expect(await values(resident)).toEqual([0, 0, 0, 0, 0, 0]);
  await resident.write(iota([2, 2]), { axis: 0, offset: [1] });
  expect([...(await resident.read(1, 1)).data]).toEqual([1, 2]);
  expect([...(await resident.read(2)).data]).toEqual([3, 4]);
  using scalar = await runtime.allocate("int64", []);
  expect(await values(scalar)).toEqual([0n]);
});

test("outputs are written where they belong: keys along axis 3, values along axis 2, each batch row at its own position", async () => {
  using session = await runtime.compile(cacheGraph());
  for (const [slots, first, offset, count] of [
    [4, 1, [5, 0], 1],
    [2, 0, [0, 3], 20],
    [3, 1, [2, 2], 4],
  ] as const) {
    const capacity = 24;
    using keys = await runtime.allocate("float32", [slots, 2, 3, capacity]);
    using values_ = await runtime.allocate("float32", [slots, 2, capacity, 3]);
    const [newKey, newValue] = [iota([2, 2, 3, count]), iota([2, 2, count, 3], 1000)];
    const result = await session.run(
      { past_key: keys.view(first, 2), new_key: newKey, new_value: newValue },
      {
        write: [
          { output: "key", into: keys.view(first, 2), axis: 3, offset },
          { output: "value", into: values_.view(first, 2), axis: 2, offset },
        ],
      },
    );
    expect(Object.keys(result)).toEqual(["past"]);
    const within = (b: number, position: number) => b >= 0 && b < 2 && position >= (offset[b] ?? 0) && position < (offset[b] ?? 0) + count;
    expect(await values(keys)).toEqual(
      expected(keys.shape, ([slot = 0, h = 0, d = 0, p = 0]) =>
        within(slot - first, p) ? at(newKey, [slot - first, h, d, p - (offset[slot - first] ?? 0)]) : 0,
      ),
    );
    expect(await values(values_)).toEqual(
      expected(values_.shape, ([slot = 0, h = 0, p = 0, d = 0]) =>
        within(slot - first, p) ? at(newValue, [slot - first, h, p - (offset[slot - first] ?? 0), d]) : 0,
      ),
    );
  }
});

test("what was written is fed back without leaving the worker", async () => {
  using session = await runtime.compile(cacheGraph());
  using keys = await runtime.allocate("float32", [2, 2, 3, 8]);
  const step = (from: number, offset: readonly number[], rows?: readonly number[]) =>
    session.run(
      { past_key: keys, new_key: iota([2, 2, 3, 1], from), new_value: iota([2, 2, 1, 3]) },
      { fetch: ["past"], write: [{ output: "key", into: keys, axis: 3, offset, ...(rows && { rows }) }] },
    );
  expect([...(await step(1, [0, 0])).past.data]).toEqual([0, 0]);
  expect([...(await step(100, [1, 1], [1, 0])).past.data]).toEqual([21, 57]); // 1 … 6 and 7 … 12
  expect([...(await step(0, [7, 7])).past.data]).toEqual([21 + 615, 57]); // row 1 was left alone
});

test("a prompt's padding is not written", async () => {
  using session = await runtime.compile(cacheGraph());
  using keys = await runtime.allocate("float32", [2, 2, 3, 4]);
  const newKey = iota([2, 2, 3, 3]);
  await session.run(
    { past_key: keys, new_key: newKey, new_value: iota([2, 2, 3, 3]) },
    { fetch: [], write: [{ output: "key", into: keys, axis: 3, offset: [0, 0], rows: [3, 2] }] },
  );
  expect(await values(keys)).toEqual(expected(keys.shape, (index) => ((index[3] ?? 0) < 3 - (index[0] ?? 0) ? at(newKey, index) : 0)));
});

test("along axis 0 the whole output goes to one place: image features", async () => {
  const x = input("x", "float32", [S, 3]);
  using session = await runtime.compile({ inputs: { x }, outputs: { y: ops.mul(x, 2) } });
  using features = await runtime.allocate("float32", [5, 3]);
  await session.run({ x: iota([2, 3]) }, { write: [{ output: "y", into: features, axis: 0, offset: [1] }] });
  await session.run({ x: iota([2, 3], 10) }, { write: [{ output: "y", into: features.view(3, 2), axis: 0, offset: [0], rows: 1 }] });
  expect(await values(features)).toEqual([0, 0, 0, 2, 4, 6, 8, 10, 12, 20, 22, 24, 0, 0, 0]);
});

test("a run writes everything or nothing, and says what does not fit", async () => {
  using session = await runtime.compile(cacheGraph());
  using keys = await runtime.allocate("float32", [2, 2, 3, 4]);
  using values_ = await runtime.allocate("float32", [2, 2, 4, 3]);
  const feeds = { past_key: keys, new_key: iota([2, 2, 3, 2]), new_value: iota([2, 2, 2, 3]) };
  const write = (value: object) =>
    session.run(feeds, {
      write: [
        { output: "key", into: keys, axis: 3, offset: [0, 0] },
        { output: "value", into: values_, axis: 2, offset: [0, 0], ...value },
      ],
    });
  await expect(write({ offset: [0, 3] })).rejects.toThrowErrorMatchingInlineSnapshot(
    `[RuntimeError: cache: output value float32 [2,2,2,3] into float32 [2,2,4,3] at axis 2: offset[1] = 3 and 2 rows end at 5, beyond 4.]`,
  );
  await expect(write({ offset: [0] })).rejects.toThrowErrorMatchingInlineSnapshot(
    `[RuntimeError: cache: output value float32 [2,2,2,3] into float32 [2,2,4,3] at axis 2: expected 2 offsets (one per batch row), got 1.]`,
  );
  await expect(write({ offset: [-1, 0] })).rejects.toThrowErrorMatchingInlineSnapshot(
    `[RuntimeError: cache: output value float32 [2,2,2,3] into float32 [2,2,4,3] at axis 2: offset[0] = -1, expected an integer ≥ 0.]`,
  );
  await expect(write({ rows: 3 })).rejects.toThrowErrorMatchingInlineSnapshot(
    `[RuntimeError: cache: output value float32 [2,2,2,3] into float32 [2,2,4,3] at axis 2: rows[0] = 3, expected 0 … 2.]`,
  );
  await expect(write({ rows: [1] })).rejects.toThrowErrorMatchingInlineSnapshot(
    `[RuntimeError: cache: output value float32 [2,2,2,3] into float32 [2,2,4,3] at axis 2: expected 2 row counts (one per batch row), got 1.]`,
  );
  await expect(write({ axis: 3 })).rejects.toThrowErrorMatchingInlineSnapshot(
    `[RuntimeError: cache: output value float32 [2,2,2,3] into float32 [2,2,4,3] at axis 3: axis 2 has 2 entries, the target has 4.]`,
  );
  await expect(write({ axis: 4 })).rejects.toThrowErrorMatchingInlineSnapshot(
    `[RuntimeError: cache: output value float32 [2,2,2,3] into float32 [2,2,4,3] at axis 4: axis must be 0 … 3.]`,
  );
  await expect(write({ into: values_.view(0, 1) })).rejects.toThrowErrorMatchingInlineSnapshot(
    `[RuntimeError: cache: output value float32 [2,2,2,3] into float32 [1,2,4,3] at axis 2: axis 0 has 2 entries, the target has 1.]`,
  );
  await expect(write({ size: 3 })).rejects.toThrowErrorMatchingInlineSnapshot(
    `[RuntimeError: cache: output value: unknown option "size". Known options: output, into, axis, offset, rows.]`,
  );
  using wrongType = await runtime.allocate("float64", [2, 2, 4, 3]);
  await expect(write({ into: wrongType })).rejects.toThrowErrorMatchingInlineSnapshot(
    `[RuntimeError: cache: output value float32 [2,2,2,3] into float64 [2,2,4,3] at axis 2: the element types differ.]`,
  );
  expect(new Set(await values(keys))).toEqual(new Set([0]));
});

test("a cache grows, and its rows change places", async () => {
  using small = await runtime.allocate("float32", [2, 2, 3]);
  const tensor = iota([2, 2, 3]);
  await small.write(tensor, { axis: 1, offset: [0, 0] });
  using large = await runtime.allocate("float32", [3, 2, 5]);
  await small.copyInto(large);
  expect(await values(large)).toEqual(
    expected(large.shape, (index) => ((index[0] ?? 0) < 2 && (index[2] ?? 0) < 3 ? at(tensor, index) : 0)),
  );
  await small.copyInto(small, { rows: [1, 0] });
  expect(await values(small)).toEqual([7, 8, 9, 10, 11, 12, 1, 2, 3, 4, 5, 6]);
  await small.copyInto(small, { rows: [1, 1] });
  expect(await values(small)).toEqual([1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6]);
  await expect(large.copyInto(small, { rows: [0, 1, 3] })).rejects.toThrowErrorMatchingInlineSnapshot(`
    [RuntimeError: copy of resident float32 [3, 2, 5] into resident float32 [2, 2, 3]:
      axis 2 has 5 entries, the target only 3.
      3 rows, the target has only 2.
      rows 3 are not among the source's 3.]
  `);
  using other = await runtime.allocate("int64", [2]);
  await expect(other.copyInto(small)).rejects.toThrowErrorMatchingInlineSnapshot(`
    [RuntimeError: copy of resident int64 [2] into resident float32 [2, 2, 3]:
      the element types differ.
      the ranks differ.]
  `);
});

test("a part of each row is copied, along any axis but the first", async () => {
  for (const [axis, start, count] of [
    [3, 2, 5],
    [2, 1, 2],
    [1, 0, 1],
    [3, 0, 8],
    [2, 2, 0],
  ] as const) {
    const tensor = iota([4, 2, 3, 8]);
    for (const rows of [
      [0, 3, 2, 0],
      [1, 0, 3],
      [2, 2, 0, 1],
    ]) {
      using resident = await runtime.allocate("float32", [4, 2, 3, 8]);
      await resident.write(tensor, { axis: 1, offset: [0, 0, 0, 0] });
      await resident.copyInto(resident, { rows, part: { axis, start, count } });
      const moved = (index: readonly number[]) => (index[axis] ?? 0) >= start && (index[axis] ?? 0) < start + count;
      const from = (index: readonly number[]) => (moved(index) ? [rows[index[0] ?? 0] ?? index[0] ?? 0, ...index.slice(1)] : index);
      expect(await values(resident)).toEqual(expected(resident.shape, (index) => at(tensor, from(index))));
    }
  }
  using keys = await runtime.allocate("float32", [2, 3, 8]);
  using larger = await runtime.allocate("float32", [1, 3, 9]);
  await keys.write(iota([2, 3, 8]), { axis: 1, offset: [0, 0] });
  await keys.copyInto(larger, { rows: [1], part: { axis: 2, start: 7, count: 1 } });
  expect(await values(larger)).toEqual(expected(larger.shape, ([, h = 0, p]) => (p === 7 ? 32 + 8 * h : 0)));
  await expect(keys.copyInto(keys, { part: { axis: 2, start: 7, count: 2 } })).rejects.toThrowErrorMatchingInlineSnapshot(
    `[RuntimeError: copy of resident float32 [2, 3, 8] into resident float32 [2, 3, 8]: part: 2 positions from 7 on are not among the 8 of axis 2.]`,
  );
  await expect(keys.copyInto(keys, { part: { axis: 0, start: 0, count: 1 } })).rejects.toThrowErrorMatchingInlineSnapshot(
    `[RuntimeError: copy of resident float32 [2, 3, 8] into resident float32 [2, 3, 8]: part: axis must be 1 … 2, got 0.]`,
  );
  await expect(keys.copyInto(larger, { rows: [0], part: { axis: 1, start: 0, count: 1 } })).rejects.toThrowErrorMatchingInlineSnapshot(
    `[RuntimeError: copy of resident float32 [2, 3, 8] into resident float32 [1, 3, 9]: part: axis 2 has 8 entries, the target has 9.]`,
  );
});

test("rows that do not exist, types that do not exist, and what is disposed or another runtime's", async () => {
  const resident = await runtime.allocate("float32", [2, 2]);
  expect(() => resident.view(1, 2)).toThrowErrorMatchingInlineSnapshot(
    `[RuntimeError: resident float32 [2, 2]: view(1, 2) is outside its 2 rows.]`,
  );
  expect(() => resident.view(-1, 1)).toThrowErrorMatchingInlineSnapshot(
    `[RuntimeError: resident float32 [2, 2]: view(-1, 1) is outside its 2 rows.]`,
  );
  await expect(runtime.allocate("bfloat16", [2])).rejects.toThrowErrorMatchingInlineSnapshot(
    `[RuntimeError: allocate: onnxruntime-node has no bfloat16 tensors. It has: float32, float64, float16, int64, uint64, int32, uint32, int16, uint16, int8, uint8, bool.]`,
  );
  await expect(runtime.allocate("float32", [2, -1])).rejects.toThrowErrorMatchingInlineSnapshot(
    `[RuntimeError: allocate: float32 [2, -1] is not a shape.]`,
  );
  await expect(runtime.allocate("float32", [2 ** 40])).rejects.toMatchObject({ code: "memory", details: { dims: [2 ** 40] } });
  const view = resident.view(0, 1);
  resident.dispose();
  resident.dispose();
  await expect(resident.read()).rejects.toThrowErrorMatchingInlineSnapshot(`[RuntimeError: resident float32 [2, 2] is disposed.]`);
  const x = input("x", "float32", [S, 2]);
  using session = await runtime.compile({ inputs: { x }, outputs: { y: ops.mul(x, 1) } });
  await expect(session.run({ x: view })).rejects.toMatchObject({ code: "disposed" });
  using elsewhere = new Runtime({ worker: false });
  using foreign = await elsewhere.allocate("float32", [1, 2]);
  await expect(session.run({ x: foreign })).rejects.toThrowErrorMatchingInlineSnapshot(
    `[RuntimeError: graph: input x: belongs to another Runtime. Allocate it with the one that uses it.]`,
  );
});
