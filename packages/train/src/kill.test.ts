/** `kill -9` in the middle of a run, again and again: what is on disk is always whole, and the end is the same. */
import { spawn } from "node:child_process";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSafetensors } from "@waggle/checkpoint";
import { afterAll, beforeAll, expect, test } from "vitest";

const path = (relative: string): string => new URL(relative, import.meta.url).pathname;
let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "waggle-kill-"));
  const rows = ["one", "two words", "three small words", "four"].map((value, i) => ({
    id: `${i}`,
    conversations: [
      { from: "human", value: `Say ${value}.` },
      { from: "gpt", value },
    ],
  }));
  await writeFile(join(scratch, "data.json"), JSON.stringify(rows));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

/** Runs until the end, or until `after` more steps and a moment have passed. Returns the last step that was seen, and the exit code. */
function run(
  out: string,
  killAfter: { readonly steps: number; readonly ms: number } | null,
): Promise<{ last: number; code: number | null }> {
  const loader = ["--conditions=@waggle/source", "--import", "tsx"];
  const child = spawn(
    process.execPath,
    [...loader, path("./__fixtures__/train-tiny.ts"), path("../../../golden/llava-tiny-hf"), join(scratch, "data.json"), out],
    {
      cwd: path("../../.."),
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  let [seen, last] = [0, 0];
  child.stdout.on("data", (chunk: Buffer) => {
    for (const line of chunk.toString().split("\n").filter(Boolean)) {
      [seen, last] = [seen + 1, Number(line)];
      if (killAfter !== null && seen === killAfter.steps) setTimeout(() => child.kill("SIGKILL"), killAfter.ms);
    }
  });
  return new Promise((resolve) => child.on("close", (code) => resolve({ last, code })));
}

async function final(out: string): Promise<unknown> {
  const names = (await readdir(join(out, "checkpoints"))).filter((name) => name.endsWith(".safetensors")).sort();
  const { tensors, metadata } = await openSafetensors(join(out, "checkpoints", names.at(-1) ?? ""));
  const found: Record<string, string> = {};
  for (const [name, tensor] of tensors) found[name] = Buffer.from(await tensor.read()).toString("base64");
  return { found, step: JSON.parse(metadata.waggle ?? "{}").step };
}

test("a run that is killed loses at most the steps since its last checkpoint", { timeout: 120_000 }, async () => {
  const [straight, killed] = [join(scratch, "straight"), join(scratch, "killed")];
  expect(await run(straight, null)).toMatchObject({ code: 0, last: 30 });
  let reached = 0;
  for (const killAfter of [
    { steps: 3, ms: 0 },
    { steps: 4, ms: 3 },
    { steps: 5, ms: 11 },
  ]) {
    const { last, code } = await run(killed, killAfter);
    expect(code).toBeNull(); // it was killed, and did not end by itself
    expect(last).toBeGreaterThan(reached); // it went on: at most the step that was running was done twice
    for (const name of (await readdir(join(killed, "checkpoints"))).filter((each) => each.endsWith(".safetensors")))
      await openSafetensors(join(killed, "checkpoints", name));
    reached = last - 1;
  }
  expect(await run(killed, null)).toMatchObject({ code: 0, last: 30 });
  expect(await final(killed)).toEqual(await final(straight));
});
