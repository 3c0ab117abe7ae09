import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { NamedTensor } from "@waggle/checkpoint";
import { afterAll, beforeAll, expect, test } from "vitest";
import { RunCheckpoints, type RunPosition } from "./run-checkpoint.ts";

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "waggle-checkpoints-"));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

const at = (step: number, best: number): RunPosition => {
  const place = { fingerprint: "x", stage: 0, stageStep: step, data: { epoch: 0, position: 0 } };
  return { ...place, step, best: { step: best, loss: 1 } };
};
const tensor = (fails = false): NamedTensor => ({
  ...{ name: "parameter.a", dtype: "float32", shape: [2] },
  read: async () => {
    if (fails) throw Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC", syscall: "write" });
    return new Uint8Array(8);
  },
});

test("the last ones and the best are kept", async () => {
  const checkpoints = new RunCheckpoints(join(scratch, "kept"), 2);
  for (const [step, best] of [
    [1, 1],
    [2, 2],
    [3, 2],
    [4, 2],
    [5, 2],
  ] as const)
    await checkpoints.save(at(step, best), [tensor()]);
  expect((await readdir(join(scratch, "kept"))).sort()).toEqual([2, 4, 5].map((step) => `step-0000000${step}.safetensors`));
  expect((await checkpoints.latest())?.position).toEqual(at(5, 2));
});

test("a full disk is an error that says so, and leaves what was there", async () => {
  const checkpoints = new RunCheckpoints(join(scratch, "full"), 1);
  await checkpoints.save(at(1, 1), [tensor()]);
  await expect(checkpoints.save(at(2, 1), [tensor(true)])).rejects.toMatchObject({ name: "CheckpointError", message: /the disk is full/ });
  expect(await readdir(join(scratch, "full"))).toEqual(["step-00000001.safetensors"]);
});

test("no checkpoint, and a file that is none", async () => {
  expect(await new RunCheckpoints(join(scratch, "none"), 1).latest()).toBeNull();
});
