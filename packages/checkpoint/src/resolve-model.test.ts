import { execFile } from "node:child_process";
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { HubError, openCheckpoint, type Progress, type ResolveOptions, resolveModel } from "@waggle/checkpoint";
import { describe, expect, test } from "vitest";
import { rawSafetensors, rejection, temporaryFolder } from "../test/files.ts";
import { gitHash, type Hub, type HubFile, REPOSITORY, sha256, startHub } from "../test/hub-server.ts";

const config = Buffer.from('{"model_type": "llava"}');
const weights = Buffer.from(
  rawSafetensors({ header: { a: { dtype: "U8", shape: [3_000_000], data_offsets: [0, 3_000_000] } }, data: 3_000_000 }),
);
const FILES: Record<string, HubFile> = {
  "config.json": { content: config },
  "model.safetensors": { content: weights, stored: true },
  "tokenizer.json": { content: Buffer.from("{}") },
  "README.md": { content: Buffer.from("# Tiny") },
  "pytorch_model.bin": { content: Buffer.from("the same again"), stored: true },
  "onnx/model.onnx": { content: Buffer.from("and again"), stored: true },
};

interface Setup {
  readonly hub: Hub;
  readonly cacheDir: string;
  readonly resolve: (options?: ResolveOptions) => Promise<string>;
}

async function setUp(files: Record<string, HubFile> = FILES): Promise<Setup> {
  const hub = await startHub(files);
  const cacheDir = temporaryFolder();
  return { hub, cacheDir, resolve: (options = {}) => resolveModel(REPOSITORY, { endpoint: hub.endpoint, cacheDir, ...options }) };
}

const repository = (cacheDir: string): string => join(cacheDir, "models--bees--tiny");
const blobs = (cacheDir: string): readonly string[] => readdirSync(join(repository(cacheDir), "blobs")).sort();

describe("a folder is itself", () => {
  test("without any request", async () => {
    const folder = temporaryFolder();
    expect(await resolveModel(folder, { endpoint: "http://127.0.0.1:1" })).toBe(folder);
  });

  test.each(["./none", "/none/at/all", "a/b/c", "", "a--b/c", "owner/../x", "owner/name?x"])(
    "%j is neither a folder nor a repository",
    async (id) => {
      expect(await rejection(resolveModel(id, { endpoint: "http://127.0.0.1:1" }))).toMatchObject({ code: "invalid_id", repository: id });
    },
  );
});

describe("a repository becomes a snapshot in the cache", () => {
  test("in the layout that all Hugging Face tools share", async () => {
    const { hub, cacheDir, resolve } = await setUp();
    const folder = await resolve();
    expect(folder).toBe(join(repository(cacheDir), "snapshots", hub.commit));
    expect(readdirSync(folder).sort()).toEqual(["config.json", "model.safetensors", "tokenizer.json"]);
    expect(readlinkSync(join(folder, "config.json"))).toBe(join("../../blobs", gitHash(config)));
    expect(readFileSync(join(folder, "model.safetensors")).equals(weights)).toBe(true);
    expect(blobs(cacheDir)).toEqual([gitHash(config), gitHash(Buffer.from("{}")), sha256(weights)].sort());
    expect(readFileSync(join(repository(cacheDir), "refs/main"), "utf8")).toBe(hub.commit);
    expect((await openCheckpoint(folder)).tensors.get("a")?.location?.path).toBe(join(repository(cacheDir), "blobs", sha256(weights)));
  });

  test("and is only asked for its commit the second time", async () => {
    const { hub, resolve } = await setUp();
    const folder = await resolve();
    hub.requests.length = 0;
    expect(await resolve()).toBe(folder);
    expect(hub.requests.map(({ url }) => url.replace(/\?.*/, ""))).toEqual([`/api/models/${REPOSITORY}/revision/main`]);
  });

  test("whose unchanged blobs a new commit shares", async () => {
    const { hub, cacheDir, resolve } = await setUp();
    await resolve();
    const other = await startHub({ ...FILES, "generation_config.json": { content: Buffer.from("[]") } });
    const folder = await resolve({ endpoint: other.endpoint });
    expect(folder).toContain(other.commit);
    expect(other.commit).not.toBe(hub.commit);
    expect(other.requests.filter(({ method, url }) => method === "GET" && url.includes("safetensors"))).toEqual([]);
    expect(blobs(cacheDir)).toHaveLength(4);
  });

  test("with the files that `include` names, folders too", async () => {
    const { resolve } = await setUp();
    const folder = await resolve({ include: ["onnx/*", "README.md"] });
    expect(readFileSync(join(folder, "onnx/model.onnx"), "utf8")).toBe("and again");
    expect(readdirSync(folder).sort()).toEqual(["README.md", "onnx"]);
    expect(lstatSync(join(folder, "onnx/model.onnx")).isSymbolicLink()).toBe(true);
  });

  test("of another revision", async () => {
    const { hub, cacheDir, resolve } = await setUp();
    await resolve({ revision: "refs/pr/1", include: ["config.json"] });
    expect(readFileSync(join(repository(cacheDir), "refs/refs/pr/1"), "utf8")).toBe(hub.commit);
    expect(await resolve({ revision: hub.commit, offline: true })).toContain(hub.commit);
  });

  test("that can be moved, because its links are relative", async () => {
    const { cacheDir, resolve } = await setUp();
    await resolve();
    const elsewhere = join(temporaryFolder(), "moved");
    renameSync(cacheDir, elsewhere);
    mkdirSync(cacheDir);
    expect((await openCheckpoint(await resolve({ cacheDir: elsewhere, offline: true }))).tensors.size).toBe(1);
  });

  test("while progress counts up to all bytes", async () => {
    const { resolve } = await setUp();
    const seen: Progress[] = [];
    await resolve({ onProgress: (progress) => seen.push(progress) });
    const total = config.length + weights.length + 2;
    expect(seen.at(-1)).toMatchObject({ phase: "download", loaded: total, total });
    expect(seen.every(({ loaded }, index) => loaded >= (seen[index - 1]?.loaded ?? 0))).toBe(true);
    expect(seen.filter(({ file }) => file === "model.safetensors").length).toBeGreaterThan(3);
  });

  test("for a server without lists in its revisions, through the tree", async () => {
    const { hub, resolve } = await setUp();
    hub.interfere = ({ url = "" }, response) => {
      if (url.includes("/revision/")) response.end(JSON.stringify({ sha: hub.commit }));
      else if (url.includes("/tree/"))
        response.end(
          JSON.stringify([
            { type: "directory", path: "onnx" },
            { type: "file", path: "config.json", size: 1 },
          ]),
        );
      else return false;
      return true;
    };
    expect(readdirSync(await resolve())).toEqual(["config.json"]);
  });
});

describe("the environment", () => {
  test("HF_ENDPOINT, HF_TOKEN, HF_HOME and HF_HUB_OFFLINE are honoured", async () => {
    const { hub, cacheDir } = await setUp();
    const script = `import { resolveModel } from "@waggle/checkpoint"; console.log(await resolveModel("${REPOSITORY}"));`;
    const run = async (more: Record<string, string>): Promise<string> => {
      const { HF_HUB_CACHE: _a, HUGGINGFACE_HUB_CACHE: _b, ...outer } = process.env;
      const env = { ...outer, HF_HOME: cacheDir, HF_ENDPOINT: `${hub.endpoint}/`, HF_TOKEN: "any form", HF_HUB_OFFLINE: "0", ...more };
      const flags = ["--import", "tsx", "--conditions=@waggle/source", "--input-type=module", "-e", script];
      return (await promisify(execFile)(process.execPath, flags, { env, cwd: import.meta.dirname })).stdout.trim();
    };
    const folder = await run({});
    expect(folder).toBe(join(cacheDir, "hub/models--bees--tiny/snapshots", hub.commit));
    const atHub = hub.requests.filter(({ host }) => hub.endpoint.endsWith(host));
    expect(atHub.every(({ authorization }) => authorization === "Bearer any form")).toBe(true);
    const atStorage = hub.requests.filter(({ host }) => hub.storage.endsWith(host));
    expect(atStorage.map(({ authorization }) => authorization)).toEqual([undefined]); // the token stays with the hub
    hub.requests.length = 0;
    expect(await run({ HF_HUB_OFFLINE: "YES" })).toBe(folder);
    expect(hub.requests).toEqual([]);
    const error = await rejection(run({ HF_HUB_OFFLINE: "1", HF_HOME: temporaryFolder() }));
    expect(String(error)).toMatch(/HubError.*not in the cache/s);
  });
});

describe("without connection", () => {
  test("what the cache holds is used, and said", async () => {
    const { hub, resolve } = await setUp();
    const folder = await resolve();
    hub.close();
    const seen: Progress[] = [];
    expect(await resolve({ onProgress: (progress) => seen.push(progress) })).toBe(folder);
    expect(seen).toEqual([{ phase: "cached", file: folder, loaded: 0, total: 0 }]);
  });

  test("an empty cache is an error", async () => {
    const { hub, resolve } = await setUp();
    hub.close();
    expect(await rejection(resolve())).toMatchObject({ code: "unreachable", repository: REPOSITORY });
    expect(await rejection(resolve({ offline: true }))).toMatchObject({ code: "offline" });
  });
});

describe("what the hub refuses", () => {
  test.each([
    [401, "unauthorized"],
    [403, "unauthorized"],
    [404, "not_found"],
    [400, "server_error"],
  ])("status %i for the revision, for a file's description, for its content", async (status, code) => {
    for (const [method, part] of [
      ["GET", "/revision/"],
      ["HEAD", "/config.json"],
      ["GET", "/config.json"],
    ] as const) {
      const { hub, cacheDir, resolve } = await setUp();
      hub.interfere = (request, response) => {
        const hit = request.method === method && (request.url ?? "").includes(part);
        if (hit) response.writeHead(status).end();
        return hit;
      };
      const error = await rejection(resolve());
      expect(error).toBeInstanceOf(HubError);
      expect(error).toMatchObject({ code, status, ...(part === "/config.json" ? { file: "config.json" } : {}) });
      expect(existsSync(join(repository(cacheDir), "refs/main"))).toBe(false);
    }
  });

  test("an unknown revision", async () => {
    const { resolve } = await setUp();
    expect(await rejection(resolve({ revision: "v2" }))).toMatchObject({
      code: "not_found",
      message: expect.stringContaining('"v2"') as string,
    });
    expect(await rejection(resolve({ revision: "../../x" }))).toMatchObject({ code: "invalid_id" });
  });

  test("names that lead out of the cache", async () => {
    for (const name of ["../../../evil.json", "a/../../evil.json", "/etc/evil.json", "..\\evil.json"]) {
      const { cacheDir, resolve } = await setUp({ [name]: { content: config } });
      expect(await rejection(resolve({ include: ["*"] }))).toMatchObject({ code: "server_error", file: name });
      expect(readdirSync(cacheDir)).toEqual([]);
    }
  });

  test("an etag that leads out of the cache", async () => {
    const { hub, resolve } = await setUp();
    hub.interfere = (request, response) => {
      if (request.method === "HEAD") response.setHeader("etag", '"../../evil"').end();
      return request.method === "HEAD";
    };
    expect(await rejection(resolve())).toMatchObject({ code: "server_error" });
  });

  test("a repository with nothing that is wanted", async () => {
    const { resolve } = await setUp({ "README.md": { content: config } });
    expect(await rejection(resolve())).toMatchObject({ code: "not_found" });
  });

  test("a page in place of JSON", async () => {
    const { hub, resolve } = await setUp();
    hub.interfere = (_, response) => {
      response.end("<html>");
      return true;
    };
    expect(await rejection(resolve())).toMatchObject({ code: "server_error" });
  });
});

test("an abort before, during and after", async () => {
  const { hub, cacheDir, resolve } = await setUp();
  const reason = new Error("enough");
  expect(await rejection(resolve({ signal: AbortSignal.abort(reason) }))).toBe(reason);
  const abort = new AbortController();
  hub.interfere = (request, response) => {
    const hit = request.method === "GET" && request.url === "/model.safetensors";
    if (hit)
      response
        .writeHead(200, { "content-length": weights.length })
        .write(weights.subarray(0, 1000), () => setTimeout(() => abort.abort(reason), 50));
    return hit;
  };
  expect(await rejection(resolve({ signal: abort.signal }))).toBe(reason);
  expect(readFileSync(join(repository(cacheDir), "blobs", `${sha256(weights)}.incomplete`)).length).toBe(1000);
  hub.interfere = () => false;
  const after = new AbortController();
  const folder = await resolve({ signal: after.signal });
  after.abort();
  expect(readFileSync(join(folder, "model.safetensors")).equals(weights)).toBe(true);
});

test("two at once do not disturb each other", async () => {
  const { hub, resolve } = await setUp();
  const [first, second] = await Promise.all([resolve(), resolve()]);
  expect(second).toBe(first);
  expect(hub.requests.filter(({ url }) => url === "/model.safetensors")).toHaveLength(1);
});

test("a link whose blob was deleted is made good", async () => {
  const { cacheDir, resolve } = await setUp();
  const folder = await resolve();
  const blob = join(repository(cacheDir), "blobs", sha256(weights));
  renameSync(blob, `${blob}.away`);
  await resolve();
  expect(readFileSync(join(folder, "model.safetensors")).equals(weights)).toBe(true);
  writeFileSync(blob, weights);
});
