import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { input, ops, symbol } from "@waggle/graph";
import { Tensor } from "onnxruntime-common";
import { expect, test } from "vitest";
import { Runtime, RuntimeError } from "./index.ts";

const N = symbol("N");
const x = input("x", "float32", [N, N]);
// Long enough to be going on when it is aborted: 40 products of N³.
const slow = { name: "slow", inputs: { x }, outputs: { y: Array.from({ length: 40 }).reduce<typeof x>((y) => ops.matmul(y, x), x) } };
const square = (n: number) => new Tensor("float32", new Float32Array(n * n), [n, n]);
const identity = (n: number) =>
  new Tensor(
    "float32",
    Float32Array.from({ length: n * n }, (_, i) => (i % (n + 1) === 0 ? 1 : 0)),
    [n, n],
  );
const workers = () => (process.report.getReport() as unknown as { workers: unknown[] }).workers.length;

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 500 && !condition(); i++) await new Promise((resolve) => setTimeout(resolve, 10));
  expect(condition()).toBe(true);
}

test("an aborted call rejects with the signal's reason: before, while it waits, and while it runs", async () => {
  using runtime = new Runtime({ threads: 1 });
  const reason = new Error("changed my mind");
  await expect(runtime.compile(slow, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  using session = await runtime.compile(slow);
  await expect(session.run({ x: square(2) }, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);

  using untouched = await runtime.allocate("float32", [8, 8]);
  const [running, waiting] = [new AbortController(), new AbortController()];
  const first = session.run({ x: square(1024) }, { signal: running.signal, keep: ["y"] });
  const write = [{ output: "y", into: untouched, axis: 0, offset: [0] }] as const;
  const second = session.run({ x: identity(8) }, { signal: waiting.signal, write });
  setTimeout(() => waiting.abort(reason), 10);
  setTimeout(() => running.abort(reason), 50);
  await expect(second).rejects.toBe(reason);
  await expect(first).rejects.toBe(reason);
  expect((await untouched.read()).data).toEqual(new Float32Array(64)); // the second was never begun
  const { y } = await session.run({ x: square(3) }); // the session is as good as before
  expect(y.dims).toEqual([3, 3]);
});

test("an aborted compile leaves nothing to dispose", async () => {
  using runtime = new Runtime({ threads: 1 });
  const controller = new AbortController();
  const compile = runtime.compile(slow, { signal: controller.signal, onProgress: () => controller.abort() });
  await expect(compile).rejects.toMatchObject({ name: "AbortError" });
  using session = await runtime.compile(slow);
  expect((await session.run({ x: square(2) })).y.dims).toEqual([2, 2]);
});

test("a disposed runtime rejects what is pending and what comes later, and its worker exits", async () => {
  await until(() => workers() === 0); // those of the tests before
  const runtime = new Runtime({ threads: 1 });
  const session = await runtime.compile(slow);
  const resident = await runtime.allocate("float32", [4]);
  expect(workers()).toBe(1);
  const pending = [session.run({ x: square(512) }), session.run({ x: square(512) }), resident.read()];
  runtime.dispose();
  runtime.dispose();
  for (const call of pending) await expect(call).rejects.toMatchObject({ name: "RuntimeError", code: "disposed" });
  const later = [
    session.run({ x: square(2) }),
    session.profile(),
    runtime.compile(slow),
    runtime.allocate("float32", [1]),
    resident.read(),
  ];
  for (const call of later) await expect(call).rejects.toMatchObject({ code: "disposed", message: "The runtime is disposed." });
  session.dispose();
  resident.dispose();
  await until(() => workers() === 0);
});

test("a runtime that was never used has no worker to stop", () => {
  new Runtime().dispose();
  expect(workers()).toBe(0);
});

test.each([true, false])("a disposed session says so (worker: %s)", async (worker) => {
  using runtime = new Runtime({ threads: 1, worker });
  const session = await runtime.compile(slow);
  session.dispose();
  session.dispose();
  await expect(session.run({ x: square(2) })).rejects.toEqual(new RuntimeError("disposed", "slow: the session is disposed."));
});

test.each([
  ["an idle runtime does not keep the process alive", "idle", "3 6"],
  ["a process whose runtime is disposed in the middle of a run ends in order", "leaving", "Error: enough"],
])("%s", async (_, name, stdout) => {
  const script = fileURLToPath(new URL(`./__fixtures__/${name}.ts`, import.meta.url));
  const run = promisify(execFile)(process.execPath, ["--conditions=@waggle/source", "--import", "tsx", script], { timeout: 30_000 });
  expect(await run).toEqual({ stdout, stderr: "" });
});
