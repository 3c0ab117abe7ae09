import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeFolder, WeightCache } from "@waggle/checkpoint";
import { afterEach, beforeEach, expect, test } from "vitest";

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "waggle-folder-"));
});
afterEach(() => rm(folder, { recursive: true }));

test("makes what is missing, and minds nothing that is there", async () => {
  await Promise.all([makeFolder(join(folder, "a/b/c")), makeFolder(join(folder, "a/b/d"))]);
  await makeFolder(join(folder, "a/b/c"));
  expect((await readdir(join(folder, "a/b"))).sort()).toEqual(["c", "d"]);
});

test("a file in the way is an error", async () => {
  await writeFile(join(folder, "file"), "");
  await expect(makeFolder(join(folder, "file"))).rejects.toMatchObject({ code: "EEXIST" });
  await expect(makeFolder(join(folder, "file/below"))).rejects.toMatchObject({ code: "ENOTDIR" });
});

test.skipIf(process.platform !== "linux")("a cache in a place that takes no folders is a typed error, and soon", async () => {
  const source = { dtype: "float16" as const, shape: [1], fingerprint: "f", read: async () => new Uint8Array(2) };
  const cache = new WeightCache({ folder: "/proc/nope/weights" });
  await expect(cache.get([{ name: "w", source, dtype: "float32" }])).rejects.toMatchObject({ code: "unwritable" });
});
