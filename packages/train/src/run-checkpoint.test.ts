import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
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

test("what a killed process left half-written is removed, and nothing else", async () => {
  const folder = join(scratch, "killed");
  const checkpoints = new RunCheckpoints(folder, 1);
  await checkpoints.save(at(1, 1), [tensor()]);
  for (const name of [".step-00000002.safetensors.4711-0a1b2c3d.tmp", "notes.tmp"]) await writeFile(join(folder, name), "half");
  await checkpoints.save(at(2, 2), [tensor()]);
  expect((await readdir(folder)).sort()).toEqual(["notes.tmp", "step-00000002.safetensors"]);
});

test("a damaged newest checkpoint is named, with what to do", async () => {
  const checkpoints = new RunCheckpoints(join(scratch, "damaged"), 2);
  for (const step of [1, 2]) await checkpoints.save(at(step, 1), [tensor()]);
  await writeFile(checkpoints.pathOf(2), "damaged");
  await expect(checkpoints.latest()).rejects.toMatchObject({
    ...{ name: "TrainingError", code: "checkpoint" },
    message: expect.stringMatching(/step-00000002\.safetensors: .* Remove the file to go on from the checkpoint before it\.$/),
  });
  await rm(checkpoints.pathOf(2));
  expect((await checkpoints.latest())?.position.step).toBe(1);
});
