/** Broken downloads of one large file: every interruption is continued where it broke, or is a typed error. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { join } from "node:path";
import { resolveModel } from "@waggle/checkpoint";
import { describe, expect, test } from "vitest";
import { rejection, temporaryFolder } from "../test/files.ts";
import { type Hub, REPOSITORY, sha256, startHub } from "../test/hub-server.ts";

const content = Buffer.from(Uint32Array.from({ length: 250_000 }, (_, index) => index * 2654435761).buffer); // 1 MB, no two parts alike

interface Setup {
  readonly hub: Hub;
  readonly blob: string;
  readonly download: (signal?: AbortSignal) => Promise<string>;
  /** The ranges that were asked of the storage. */
  readonly ranges: () => readonly (string | undefined)[];
}

async function setUp(stored = true): Promise<Setup> {
  const hub = await startHub({ "model.safetensors": { content, stored } });
  const cacheDir = temporaryFolder();
  const folder = join(cacheDir, "models--bees--tiny/blobs");
  mkdirSync(folder, { recursive: true });
  const ranges = (): readonly (string | undefined)[] =>
    hub.requests.filter(({ method, url }) => method === "GET" && url === "/model.safetensors").map(({ range }) => range);
  const download = async (signal?: AbortSignal): Promise<string> =>
    join(await resolveModel(REPOSITORY, { endpoint: hub.endpoint, cacheDir, ...(signal ? { signal } : {}) }), "model.safetensors");
  return { hub, blob: join(folder, sha256(content)), download, ranges };
}

/** The storage's answers, in order; `undefined` stands for an honest one. */
function answers(hub: Hub, list: readonly (((response: ServerResponse) => void) | undefined)[]): void {
  let count = 0;
  hub.interfere = (request, response) => {
    if (request.method !== "GET" || request.url !== "/model.safetensors") return false;
    const answer = list[Math.min(count, list.length - 1)];
    count += 1;
    answer?.(response);
    return answer !== undefined;
  };
}

/** Sends the bytes from `start` to `end`, then breaks the connection. */
const breakOff =
  (start: number, end: number) =>
  (response: ServerResponse): void => {
    response.writeHead(start === 0 ? 200 : 206, {
      "content-length": content.length - start,
      ...(start === 0 ? {} : { "content-range": `bytes ${start}-${content.length - 1}/${content.length}` }),
    });
    response.write(content.subarray(start, end), () => setTimeout(() => response.destroy(), 20));
  };

const status =
  (code: number, headers: Record<string, string> = {}) =>
  (response: ServerResponse): void =>
    void response.writeHead(code, headers).end();

describe("is continued where it broke", () => {
  test("within one call", async () => {
    const { hub, download, ranges } = await setUp();
    answers(hub, [breakOff(0, 400_000), breakOff(400_000, 700_000), undefined]);
    expect(readFileSync(await download()).equals(content)).toBe(true);
    expect(ranges()).toEqual([undefined, "bytes=400000-", "bytes=700000-"]);
  });

  test("by a later call, from what an earlier one left", async () => {
    const { blob, download, ranges } = await setUp();
    writeFileSync(`${blob}.incomplete`, content.subarray(0, 123_456));
    expect(readFileSync(await download()).equals(content)).toBe(true);
    expect(ranges()).toEqual(["bytes=123456-"]);
    expect(readdirSync(join(blob, ".."))).toEqual([sha256(content)]);
  });

  test("without a request, if everything had arrived", async () => {
    const { blob, download, ranges } = await setUp();
    writeFileSync(`${blob}.incomplete`, content);
    expect(readFileSync(await download()).equals(content)).toBe(true);
    expect(ranges()).toEqual([]);
  });

  test("when the server is busy for a while", async () => {
    const { hub, download } = await setUp();
    answers(hub, [status(503), status(429), undefined]);
    expect(readFileSync(await download()).equals(content)).toBe(true);
  });
});

describe("begins anew", () => {
  test("when the server knows no ranges", async () => {
    const { hub, blob, download } = await setUp();
    writeFileSync(`${blob}.incomplete`, content.subarray(0, 1000));
    answers(hub, [(response) => void response.writeHead(200, { "content-length": content.length }).end(content)]);
    expect(readFileSync(await download()).equals(content)).toBe(true);
  });

  test("when the range is refused", async () => {
    const { hub, blob, download, ranges } = await setUp();
    writeFileSync(`${blob}.incomplete`, content.subarray(0, 1000));
    answers(hub, [status(416, { "content-range": "bytes */999" }), undefined]);
    expect(readFileSync(await download()).equals(content)).toBe(true);
    expect(ranges()).toEqual(["bytes=1000-", undefined]);
  });

  test("when another range comes than was asked for", async () => {
    const { hub, blob, download } = await setUp();
    writeFileSync(`${blob}.incomplete`, content.subarray(0, 1000));
    answers(hub, [breakOff(500, 600), undefined]);
    expect(readFileSync(await download()).equals(content)).toBe(true);
  });

  test("when more had been kept than the file has", async () => {
    const { blob, download } = await setUp();
    writeFileSync(`${blob}.incomplete`, Buffer.concat([content, content]));
    expect(readFileSync(await download()).equals(content)).toBe(true);
  });
});

describe("is an error, and not in the cache", () => {
  async function failing(list: Parameters<typeof answers>[1], before?: Buffer, stored = true): Promise<unknown> {
    const { hub, blob, download } = await setUp(stored);
    if (before) writeFileSync(`${blob}.incomplete`, before);
    answers(hub, list);
    const error = await rejection(download());
    expect(readdirSync(join(blob, "..")).filter((name) => !name.endsWith(".incomplete"))).toEqual([]);
    return error;
  }

  test("when the connection breaks again and again without anything new", async () => {
    expect(await failing([breakOff(0, 1000), breakOff(1000, 1000)])).toMatchObject({ code: "unreachable", file: "model.safetensors" });
  });

  test("when the storage has another size than the hub announced", async () => {
    const short = content.subarray(0, 999);
    expect(await failing([(response) => void response.writeHead(200, { "content-length": 999 }).end(short)])).toMatchObject({
      code: "size_mismatch",
    });
    expect(await failing([(response) => void response.writeHead(200).end(Buffer.concat([content, content]))])).toMatchObject({
      code: "size_mismatch",
    });
  });

  test("when the content is not what the hub announced", async () => {
    const other = Buffer.from(content).fill(7, 500, 501);
    const error = await failing([(response) => void response.writeHead(200, { "content-length": other.length }).end(other)]);
    expect(error).toMatchObject({ code: "corrupt", file: "model.safetensors" });
  });

  test("when an earlier part was damaged", async () => {
    expect(await failing([undefined], Buffer.alloc(5000))).toMatchObject({ code: "corrupt" });
  });

  test("when the storage does not have it", async () => {
    expect(await failing([status(404)])).toMatchObject({ code: "not_found", status: 404 });
    expect(await failing([status(403)])).toMatchObject({ code: "unauthorized", status: 403 });
  });
});
