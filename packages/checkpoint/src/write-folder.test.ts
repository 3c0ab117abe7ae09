import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeFolder, writeSafetensors } from "@waggle/checkpoint";
import { afterEach, beforeEach, expect, test } from "vitest";

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "waggle-write-folder-"));
});
afterEach(() => rm(folder, { recursive: true }));

test("what cannot be written is named as it would have been, not by the temporary folder, which is gone", async () => {
  const target = join(folder, "model");
  const write = async (temporary: string): Promise<void> => {
    await writeFile(join(temporary, "a-file"), "");
    await writeSafetensors(join(temporary, "a-file", "model.safetensors"), []);
  };
  const error = { name: "CheckpointError", code: "unwritable", file: join(target, "a-file", "model.safetensors") };
  await expect(writeFolder(target, write)).rejects.toMatchObject(error);
  expect(await readdir(folder)).toEqual([]);
});
