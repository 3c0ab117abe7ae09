import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, truncateSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  openCheckpoint,
  openSafetensors,
  type Progress,
  type TensorEntry,
  WeightCache,
  type WeightRequest,
  writeSafetensors,
} from "@waggle/checkpoint";
import { describe, expect, test } from "vitest";
import { rejection, temporaryFolder } from "../test/files.ts";

const golden = join(import.meta.dirname, "../../../golden");
const vectors = join(import.meta.dirname, "__vectors__/to-float32.safetensors");

const all = (entries: Iterable<TensorEntry>): readonly WeightRequest[] =>
  [...entries].map((source) => ({ name: source.name, source, dtype: "float32" }));

/** A file with one float16 tensor of `elements` ones, and what is asked of the cache for it. */
async function ones(elements: number, name = "weight"): Promise<{ readonly file: string; readonly requests: readonly WeightRequest[] }> {
  const file = join(temporaryFolder(), "model.safetensors");
  const bytes = new Uint8Array(new Uint16Array(elements).fill(0x3c00).buffer);
  await writeSafetensors(file, [{ name, dtype: "float16", shape: [elements], read: async () => bytes }]);
  return { file, requests: all((await openSafetensors(file)).tensors.values()) };
}

const hidden = (folder: string): readonly string[] => readdirSync(folder).filter((name) => !/^[0-9a-f]{64}\.safetensors$/.test(name));

test("holds every tensor as float32, in one file, as PyTorch converts it", async () => {
  const { tensors } = await openSafetensors(vectors);
  const stored = [...tensors.values()].filter(({ name }) => name.startsWith("stored.") && !/float16/.test(name));
  const found = await new WeightCache({ folder: temporaryFolder() }).get(all(stored));
  expect(new Set([...found.values()].map(({ path }) => path)).size).toBe(1);
  for (const { name } of stored) {
    const expected = await tensors.get(name.replace("stored", "float32"))?.read();
    const { path, offset, byteLength } = found.get(name) ?? { path: "", offset: 0, byteLength: 0 };
    expect([name, readFileSync(path).subarray(offset, offset + byteLength)]).toEqual([name, Buffer.from(expected ?? [])]);
  }
});

test("is an ordinary safetensors file; large tensors lie at multiples of 64 bytes", async () => {
  const { tensors } = await openCheckpoint(join(golden, "llava-tiny-hf"));
  const found = await new WeightCache({ folder: temporaryFolder() }).get(all(tensors.values()));
  const { tensors: cached } = await openSafetensors([...found.values()][0]?.path ?? "");
  expect(cached.size).toBe(tensors.size);
  for (const [name, entry] of cached) {
    expect([entry.dtype, entry.shape, entry.location]).toEqual(["float32", tensors.get(name)?.shape, found.get(name)]);
    if (entry.location.byteLength % 64 === 0) expect(entry.location.offset % 64).toBe(0);
  }
});

describe("a second request", () => {
  test("does no work, whatever its order", async () => {
    const { tensors } = await openSafetensors(vectors);
    const cache = new WeightCache({ folder: temporaryFolder() });
    const requests = all(tensors.values());
    const first = await cache.get(requests);
    const progress: Progress[] = [];
    const second = await cache.get([...requests].reverse(), { onProgress: (step) => progress.push(step) });
    expect(progress).toEqual([]);
    expect(second).toEqual(first);
  });

  test("for other content makes another file", async () => {
    const cache = new WeightCache({ folder: temporaryFolder() });
    const { file, requests } = await ones(8);
    await cache.get(requests);
    await writeSafetensors(file, [{ name: "weight", dtype: "float16", shape: [8], read: async () => new Uint8Array(16) }]);
    const changed = await cache.get(all((await openSafetensors(file)).tensors.values()));
    const { path, offset, byteLength } = changed.get("weight") ?? { path: "", offset: 0, byteLength: 0 };
    expect(readFileSync(path).subarray(offset, offset + byteLength)).toEqual(Buffer.alloc(32));
    expect(await cache.list()).toHaveLength(2);
  });

  test("does not trust a file that was cut off or overwritten", async () => {
    const folder = temporaryFolder();
    const { requests } = await ones(1000);
    for (const damage of [
      (path: string) => truncateSync(path, 500),
      (path: string) => writeFileSync(path, "no weights"),
      (path: string) => writeFileSync(path, ""),
    ]) {
      const path = (await new WeightCache({ folder }).get(requests)).get("weight")?.path ?? "";
      const whole = readFileSync(path);
      damage(path);
      await new WeightCache({ folder }).get(requests);
      expect(readFileSync(path).equals(whole)).toBe(true);
    }
  });
});

test("tensors that are computed, at any place in their buffer, count as well", async () => {
  const buffer = new Uint8Array(9);
  buffer.set([0x80, 0x3f, 0x00, 0xc0], 3); // bfloat16: 1, −2
  const source = { dtype: "bfloat16", shape: [2], fingerprint: "two numbers", read: async () => buffer.subarray(3, 7) } as const;
  const found = await new WeightCache({ folder: temporaryFolder() }).get([{ name: "a", source, dtype: "float32" }]);
  const { path, offset } = found.get("a") ?? { path: "", offset: 0 };
  expect([readFileSync(path).readFloatLE(offset), readFileSync(path).readFloatLE(offset + 4)]).toEqual([1, -2]);
});

describe("a conversion that does not finish leaves nothing", () => {
  test("when it is aborted", async () => {
    const folder = temporaryFolder();
    const { requests } = await ones(8 * 2 ** 20);
    const abort = new AbortController();
    const onProgress = (): void => abort.abort(new Error("enough"));
    expect(await rejection(new WeightCache({ folder }).get(requests, { signal: abort.signal, onProgress }))).toMatchObject({
      message: "enough",
    });
    expect(readdirSync(folder)).toEqual([]);
  });

  test("when a tensor is shorter than its shape", async () => {
    const folder = temporaryFolder();
    const source = { dtype: "float16", shape: [4], fingerprint: "short", read: async () => new Uint8Array(6) } as const;
    expect(await rejection(new WeightCache({ folder }).get([{ name: "a", source, dtype: "float32" }]))).toMatchObject({
      code: "wrong_size",
      entry: "a",
    });
    expect(readdirSync(folder)).toEqual([]);
  });

  test("when its process is killed: the next one cleans up and makes it again", async () => {
    const folder = temporaryFolder();
    const { file, requests } = await ones(16 * 2 ** 20);
    const child = convertInChild(folder, file);
    await once(child, "message");
    child.kill("SIGKILL");
    await once(child, "exit");
    expect(hidden(folder).map((name) => name.replace(/.*\./, ""))).toEqual(expect.arrayContaining(["tmp", "lock"]));
    const { path, offset } = (await new WeightCache({ folder }).get(requests)).get("weight") ?? { path: "", offset: 0 };
    expect(readFileSync(path).readFloatLE(offset + 4 * (16 * 2 ** 20 - 1))).toBe(1);
    expect(hidden(folder)).toEqual([]);
  });
});

test("two processes at once: one converts, both find the same", async () => {
  const folder = temporaryFolder();
  const { file } = await ones(4 * 2 ** 20);
  const answers = await Promise.all(
    [convertInChild(folder, file), convertInChild(folder, file)].map(async (child) => {
      const messages: unknown[] = [];
      child.on("message", (message) => messages.push(message));
      await once(child, "exit");
      return messages;
    }),
  );
  expect(answers.filter((messages) => messages.includes("progress"))).toHaveLength(1);
  expect(answers[0]?.at(-1)).toEqual(answers[1]?.at(-1));
  expect(readdirSync(folder)).toHaveLength(1);
});

function convertInChild(folder: string, file: string): ChildProcess {
  const script = join(import.meta.dirname, "../test/convert-in-child.ts");
  return fork(script, [folder, file], { execArgv: ["--import", "tsx", "--conditions=@waggle/source"] });
}

describe("the size limit", () => {
  test("lets what was unused for longest go", async () => {
    const folder = temporaryFolder();
    const cache = new WeightCache({ folder, maxBytes: 10_000 });
    const [a, b, c] = [await ones(1000, "a"), await ones(1000, "b"), await ones(1000, "c")];
    await cache.get(a.requests);
    await cache.get(b.requests);
    for (const { path } of await cache.list()) utimesSync(path, new Date(1000), new Date(1000)); // both long ago
    await cache.get(a.requests); // but this one again
    await cache.get(c.requests);
    const left = await Promise.all((await cache.list()).map(async ({ path }) => [...(await openSafetensors(path)).tensors.keys()].join()));
    expect(left.sort()).toEqual(["a", "c"]);
  });

  test("that is smaller than one file is an error with both numbers, and costs nothing", async () => {
    const folder = temporaryFolder();
    await new WeightCache({ folder }).get((await ones(10)).requests);
    const { requests } = await ones(1000);
    expect(await rejection(new WeightCache({ folder, maxBytes: 3000 }).get(requests))).toMatchObject({
      code: "cache_full",
      message: expect.stringMatching(/need 4\d\d\d bytes, the cache's limit is 3000/) as string,
    });
    expect(readdirSync(folder)).toHaveLength(1);
  });

  test.each([-1, Number.NaN])("%d is refused", (maxBytes) => {
    expect(() => new WeightCache({ maxBytes })).toThrow(/maxBytes/);
  });
});

describe("list and clear", () => {
  test("tell what is there and where it came from", async () => {
    const folder = temporaryFolder();
    const cache = new WeightCache({ folder });
    expect(await cache.list()).toEqual([]);
    const { file, requests } = await ones(1000);
    const path = (await cache.get(requests)).get("weight")?.path ?? "";
    const [listed] = await cache.list();
    expect(listed).toMatchObject({ path, byteLength: readFileSync(path).byteLength, tensors: 1, sources: [file] });
    expect(Date.now() - (listed?.lastUsed.getTime() ?? 0)).toBeLessThan(60_000);
    writeFileSync(join(folder, "somebody else's.txt"), "");
    expect(await cache.clear()).toEqual({ files: 1, byteLength: listed?.byteLength });
    expect(readdirSync(folder)).toEqual(["somebody else's.txt"]);
  });

  test("of a folder that does not exist", async () => {
    const cache = new WeightCache({ folder: join(temporaryFolder(), "none") });
    expect([await cache.list(), await cache.clear()]).toEqual([[], { files: 0, byteLength: 0 }]);
    expect(existsSync(cache.folder)).toBe(false);
  });
});

test("a folder that cannot be made is an error that names it and says what to do", async () => {
  const { file, requests } = await ones(10);
  const folder = join(file, "cache");
  expect(await rejection(new WeightCache({ folder }).get(requests))).toMatchObject({
    name: "CheckpointError",
    code: "unwritable",
    file: folder,
    message: expect.stringMatching(/ENOTDIR.*WAGGLE_CACHE/) as string,
  });
});

test("the default folder follows the environment", () => {
  const { WAGGLE_CACHE, XDG_CACHE_HOME } = process.env;
  try {
    process.env.XDG_CACHE_HOME = "/xdg";
    delete process.env.WAGGLE_CACHE;
    expect(new WeightCache().folder).toBe("/xdg/waggle/weights");
    process.env.WAGGLE_CACHE = "";
    expect(new WeightCache().folder).toBe("/xdg/waggle/weights");
    process.env.WAGGLE_CACHE = "/own";
    expect(new WeightCache().folder).toBe("/own/weights");
  } finally {
    restore("WAGGLE_CACHE", WAGGLE_CACHE);
    restore("XDG_CACHE_HOME", XDG_CACHE_HOME);
  }
});

function restore(name: string, value: string | undefined): void {
  if (value === undefined) delete process.env[name];
  else process.env[name] = value;
}
