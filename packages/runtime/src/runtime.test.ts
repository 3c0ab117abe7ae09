import { input, ops } from "@waggle/graph";
import { Tensor } from "onnxruntime-common";
import { expect, test } from "vitest";
import { Runtime } from "./index.ts";

const x = input("x", "float32", [2]);
const graph = { name: "double", inputs: { x }, outputs: { y: ops.mul(x, 2) } };

test("checks its options, all at once", async () => {
  expect(
    () => new Runtime({ threads: 0, device: "tpu" as "cpu", worker: "yes" as never, fast: true } as never),
  ).toThrowErrorMatchingInlineSnapshot(`
    [RuntimeError: Runtime:
      unknown option "fast". Known options: threads, device, worker.
      threads: expected a whole number ≥ 1, got 0.
      device: expected one of cpu, webgpu, cuda, tensorrt, dml, coreml, qnn, got "tpu".
      worker: expected true or false, got "yes".]
  `);
  using runtime = new Runtime();
  await expect(runtime.compile(graph, { prepacked: true } as never)).rejects.toThrowErrorMatchingInlineSnapshot(
    `[RuntimeError: double: unknown option "prepacked". Known options: weights, prepack, arena, profile, signal, onProgress.]`,
  );
});

test("a device that is not there is an error that lists those that are", async () => {
  using runtime = new Runtime({ device: process.platform === "win32" ? "coreml" : "dml" });
  const compile = runtime.compile(graph);
  await expect(compile).rejects.toMatchObject({ code: "device", details: { available: expect.arrayContaining(["cpu"]) } });
  await expect(compile).rejects.toThrow(/^device "\w+" is not available here\. Available: cpu/);
});

test("several sessions share one runtime; packing and the arena change nothing but speed", async () => {
  using runtime = new Runtime({ threads: 2 });
  using plain = await runtime.compile(graph);
  using packed = await runtime.compile({ ...graph, outputs: { y: ops.mul(x, 3) } }, { prepack: true, arena: true });
  const feed = { x: new Tensor("float32", Float32Array.of(1, 2), [2]) };
  const [two, three] = await Promise.all([plain.run(feed), packed.run(feed)]);
  expect([[...two.y.data], [...three.y.data]]).toEqual([
    [2, 4],
    [3, 6],
  ]);
});

test("tells how far it is", async () => {
  using runtime = new Runtime();
  const seen: unknown[] = [];
  using _session = await runtime.compile(graph, { onProgress: (progress) => seen.push(progress) });
  expect(seen).toEqual([
    { phase: "load", file: "double", loaded: 0, total: 0 },
    { phase: "load", file: "double", loaded: 0, total: 0 },
  ]);
});
