/** Pictures by http, from servers on this machine; names are resolved by the test, so nothing leaves it. */
import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ReadLimits } from "./bytes.ts";
import { download, isPublic, type Network } from "./download.ts";
import { decodeImage, ImageError, image } from "./index.ts";

const png = await readFile(new URL("./__vectors__/formats/rgb.png", import.meta.url));
const limits: ReadLimits = { maxBytes: 1 << 20, timeoutMs: 5000, allowPrivateAddresses: false };
let server: Server;
let port = 0;
let requests: string[] = [];

beforeAll(async () => {
  server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  port = (server.address() as AddressInfo).port;
});
afterAll(() => server.close());

function answer(request: IncomingMessage, response: ServerResponse): void {
  const path = request.url ?? "";
  requests.push(`${request.headers.host?.split(":")[0]}${path}`);
  if (path === "/picture.png") response.end(png);
  else if (path === "/page") response.end("<!doctype html><p>no picture");
  else if (path === "/gzip") response.setHeader("content-encoding", "gzip").end(png);
  else if (path === "/announced") response.setHeader("content-length", 2 ** 40).write("x");
  else if (path === "/endless") endless(response);
  else if (path === "/slow") response.write(png.subarray(0, 50));
  else if (path === "/broken")
    response.writeHead(200, { "content-length": png.length }).write(png.subarray(0, 50), () => response.destroy());
  else if (path.startsWith("/to?")) response.writeHead(302, { location: decodeURIComponent(path.slice(4)) }).end();
  else if (path === "/loop") response.writeHead(307, { location: "/loop" }).end();
  else if (path !== "/silent") response.writeHead(404).end();
}

function endless(response: ServerResponse): void {
  const more = (): void => {
    if (!response.destroyed) response.write(Buffer.alloc(65_536), () => setImmediate(more));
  };
  more();
}

describe("with private addresses allowed", () => {
  const options = { allowPrivateAddresses: true, maxBytes: 1 << 20, timeoutMs: 5000 };
  const at = (path: string): Promise<unknown> =>
    decodeImage(image(`http://127.0.0.1:${port}${path}`), options).catch((error: unknown) => error);

  test("a picture, also behind a redirect", async () => {
    const { data } = await decodeImage(image(png));
    expect(await at("/picture.png")).toMatchObject({ width: 53, height: 37, data });
    expect(await at("/to?/picture.png")).toMatchObject({ width: 53, height: 37, data });
  });

  test.for([
    ["/page", "unsupported-format"],
    ["/none", "http-status"],
    ["/gzip", "network"],
    ["/broken", "network"],
    ["/announced", "too-many-bytes"],
    ["/endless", "too-many-bytes"],
    ["/loop", "too-many-redirects"],
    ["/to?file:///etc/passwd", "bad-url"],
    ["/to?ftp://127.0.0.1/picture.png", "bad-url"],
    ["/to?http://", "bad-url"],
  ] as const)("%s: %s", async ([path, code]) => {
    const error = await at(path);
    expect(error).toBeInstanceOf(ImageError);
    expect(error).toMatchObject({ code });
  });

  test.for(["/slow", "/silent"])("%s: the time limit", async (path) => {
    const error = await decodeImage(image(`http://127.0.0.1:${port}${path}`), { ...options, timeoutMs: 150 }).catch(
      (caught: unknown) => caught,
    );
    expect(error).toMatchObject({ code: "timeout", details: { timeoutMs: 150 } });
  });

  test("abort rejects with the reason and closes the connection", async () => {
    const controller = new AbortController();
    const reason = new Error("enough");
    const pending = decodeImage(image(`http://127.0.0.1:${port}/slow`), { ...options, signal: controller.signal });
    setTimeout(() => controller.abort(reason), 50);
    await expect(pending).rejects.toBe(reason);
    await expect.poll(() => new Promise((resolve) => server.getConnections((_, count) => resolve(count)))).toBe(0);
  });
});

describe("private addresses", () => {
  test("are refused by number and by name", async () => {
    for (const host of ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "0.0.0.0"]) {
      requests = [];
      const error = await decodeImage(image(`http://${host}:${port}/picture.png`)).catch((caught: unknown) => caught);
      expect([host, error]).toEqual([host, expect.objectContaining({ code: "private-address" })]);
      expect(requests).toEqual([]);
    }
  });

  // Here 127.0.0.1 plays the public address and 127.0.0.2 the private one.
  const network = (addresses: (host: string) => readonly string[]): Network => ({
    permits: (address) => address === "127.0.0.1",
    lookup: (host, options, callback) => {
      const found = addresses(host).map((address) => ({ address, family: 4 }));
      if (options.all === true) callback(null, found);
      else callback(null, found[0]?.address ?? "", 4);
    },
  });
  const hosts: { readonly [host: string]: readonly string[] } = {
    "public.test": ["127.0.0.1"],
    "inside.test": ["127.0.0.2"],
    "both.test": ["127.0.0.1", "127.0.0.2"],
  };
  const fetched = (path: string, via: Network): Promise<unknown> =>
    download(new URL(`http://public.test:${port}${path}`), limits, via).catch((error: unknown) => error);

  test("a name that is public is fetched", async () => {
    expect(
      await fetched(
        "/picture.png",
        network((host) => hosts[host] ?? []),
      ),
    ).toEqual(png);
  });

  test.for(["http://127.0.0.2", "http://inside.test", "http://both.test", "//inside.test"])(
    "a redirect to %s is not followed",
    async (target) => {
      requests = [];
      const location = encodeURIComponent(`${target}:${port}/picture.png`);
      expect(
        await fetched(
          `/to?${location}`,
          network((host) => hosts[host] ?? []),
        ),
      ).toMatchObject({ code: "private-address" });
      expect(requests).toHaveLength(1);
    },
  );

  test("a name that changes its address between two requests gets no second one", async () => {
    requests = [];
    let asked = 0;
    const rebinding = network(() => [asked++ === 0 ? "127.0.0.1" : "127.0.0.2"]);
    expect(await fetched("/to?/picture.png", rebinding)).toMatchObject({ code: "private-address" });
    expect(requests).toEqual(["public.test/to?/picture.png"]);
  });

  test("no such name, no such port", async () => {
    const failing: Network = { permits: () => true, lookup: (_, __, callback) => callback(new Error("no such name"), "", 4) };
    expect(await fetched("/picture.png", failing)).toMatchObject({ code: "network" });
    const refused = download(new URL("http://127.0.0.1:1/"), { ...limits, allowPrivateAddresses: true });
    await expect(refused).rejects.toMatchObject({ code: "network" });
  });

  test("what counts as public", () => {
    const open = ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "::ffff:8.8.8.8"];
    const closed = [
      "10.0.0.1",
      "172.16.5.4",
      "192.168.1.1",
      "127.0.0.1",
      "169.254.169.254",
      "100.64.0.1",
      "0.0.0.0",
      "224.0.0.1",
      "255.255.255.255",
      "192.0.2.1",
    ];
    const closed6 = [
      "::1",
      "::",
      "fe80::1",
      "fc00::1",
      "fd00::1",
      "ff02::1",
      "::ffff:10.0.0.1",
      "2002:7f00:1::",
      "64:ff9b::7f00:1",
      "2001:db8::1",
      "not an address",
    ];
    expect(open.filter((address) => !isPublic(address))).toEqual([]);
    expect([...closed, ...closed6].filter(isPublic)).toEqual([]);
  });
});
