import { input, ops, symbol } from "@waggle/graph";
import { Tensor } from "onnxruntime-common";
import { afterAll, describe, expect, test } from "vitest";
import { Runtime } from "./index.ts";

const S = symbol("S");
const [a, b] = [input("a", "float32", [S, 2]), input("b", "float32", [S, 2])];
const graph = { name: "arithmetic", inputs: { a, b }, outputs: { sum: ops.add(a, b), product: ops.mul(a, b) } };
const pair = (...values: number[]) => new Tensor("float32", Float32Array.from(values), [values.length / 2, 2]);

const runtimes = { "in a worker": new Runtime({ threads: 1 }), "in this thread": new Runtime({ threads: 1, worker: false }) };
afterAll(() => {
  for (const runtime of Object.values(runtimes)) runtime.dispose();
});

describe.each(Object.entries(runtimes))("%s", (_, runtime) => {
  test("runs, for any size of an open dimension", async () => {
    using session = await runtime.compile(graph);
    const two = await session.run({ a: pair(1, 2, 3, 4), b: pair(10, 20, 30, 40) });
    expect([...two.sum.data]).toEqual([11, 22, 33, 44]);
    expect([...two.product.data]).toEqual([10, 40, 90, 160]);
    expect(two.sum.dims).toEqual([2, 2]);
    const none = await session.run({ a: pair(), b: pair() });
    expect([none.sum.dims, none.sum.data.length]).toEqual([[0, 2], 0]);
  });

  test("reads a view of a larger array, and leaves it with its owner", async () => {
    using session = await runtime.compile(graph);
    const all = Float32Array.from([0, 1, 2, 3, 4, 5]);
    const feed = new Tensor("float32", all.subarray(2, 4), [1, 2]);
    const { sum } = await session.run({ a: feed, b: feed }, { fetch: ["sum"] });
    expect([...sum.data]).toEqual([4, 6]);
    expect([...all]).toEqual([0, 1, 2, 3, 4, 5]);
  });

  test("returns only what is asked for", async () => {
    using session = await runtime.compile(graph);
    const fetched = await session.run({ a: pair(1, 1), b: pair(1, 1) }, { fetch: ["product"] });
    expect(Object.keys(fetched)).toEqual(["product"]);
    const kept = await session.run({ a: pair(1, 2), b: pair(3, 4) }, { keep: ["sum"] });
    expect(Object.keys(kept).sort()).toEqual(["product", "sum"]);
    expect([...kept.product.data]).toEqual([3, 8]);
    expect([...(await kept.sum.read()).data]).toEqual([4, 6]);
    const again = await session.run({ a: kept.sum, b: kept.sum.view(0, 1) }, { fetch: ["sum"] });
    expect([...again.sum.data]).toEqual([8, 12]);
    kept.sum.dispose();
  });

  test("runs asked for at once are served in order", async () => {
    using session = await runtime.compile(graph);
    const feeds = Array.from({ length: 20 }, (_, i) => ({ a: pair(i, i), b: pair(1, 2) }));
    const results = await Promise.all(feeds.map((feed) => session.run(feed, { fetch: ["sum"] })));
    expect(results.map(({ sum }) => [...sum.data])).toEqual(feeds.map((_, i) => [i + 1, i + 2]));
  });

  test("names everything that is wrong with what it is given", async () => {
    using session = await runtime.compile(graph);
    const wrong = session.run(
      { a: new Tensor("int32", Int32Array.of(1, 2), [1, 2]), c: pair(1, 2) } as never,
      {
        fetch: ["sum", "quotient" as "sum"],
        keep: ["sum"],
        speed: 2,
      } as never,
    );
    await expect(wrong).rejects.toMatchObject({ code: "feeds" });
    await expect(wrong).rejects.toThrowErrorMatchingInlineSnapshot(`
      [RuntimeError: arithmetic:
        unknown option "speed". Known options: signal, fetch, keep, write.
        input a: expected float32 [S, 2], got int32 [1, 2].
        input b is missing: float32 [S, 2].
        there is no input c. Inputs: a, b.
        there is no output quotient. Outputs: sum, product.
        output sum is both kept and fetched. Keep it, then read() it.]
    `);
    await expect(session.run({ a: pair(1, 2), b: pair(1, 2, 3, 4) })).rejects.toThrowErrorMatchingInlineSnapshot(
      `[RuntimeError: arithmetic: input b: S is 2 here, but 1 in input a.]`,
    );
  });

  test("knows the names of its graph at compile time", async () => {
    using session = await runtime.compile(graph);
    // @ts-expect-error: b is missing
    await expect(session.run({ a: pair(1, 2) })).rejects.toMatchObject({ code: "feeds" });
    const { sum, ...others } = await session.run({ a: pair(1, 2), b: pair(3, 4) }, { fetch: ["sum"] });
    // @ts-expect-error: product was not fetched
    expect([sum.dims, others.product]).toEqual([[1, 2], undefined]);
  });

  test("says what ONNX Runtime says when a run fails", async () => {
    const index = input("index", "int64", [1]);
    using session = await runtime.compile({ name: "lookup", inputs: { a, index }, outputs: { row: ops.gather(a, index, 0) } });
    const outside = session.run({ a: pair(1, 2), index: new Tensor("int64", [7n], [1]) });
    await expect(outside).rejects.toMatchObject({ code: "run", message: expect.stringMatching(/^lookup: .*out of data bounds/) });
    const { row } = await session.run({ a: pair(1, 2), index: new Tensor("int64", [0n], [1]) });
    expect([...row.data]).toEqual([1, 2]);
  });

  test("reports time by operator", async () => {
    using session = await runtime.compile(
      { name: "profiled", inputs: { a }, outputs: { y: ops.softmax(ops.matmul(a, ops.transpose(a, [1, 0])), 1) } },
      { profile: true },
    );
    await session.run({ a: pair(1, 2, 3, 4) });
    await session.run({ a: pair(1, 2, 3, 4) });
    const profile = await session.profile();
    expect(profile.find(({ operator }) => operator === "Softmax")).toMatchObject({ calls: 2, provider: "CPUExecutionProvider" });
    expect(profile.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1);
    expect(await session.profile()).toEqual(profile);
    using plain = await runtime.compile(graph);
    await expect(plain.profile()).rejects.toThrowErrorMatchingInlineSnapshot(
      `[RuntimeError: arithmetic: was not compiled with { profile: true }, so there is nothing to report.]`,
    );
  });
});
