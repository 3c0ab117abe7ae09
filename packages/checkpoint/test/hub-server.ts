/**
 * A hub on 127.0.0.1 that answers as huggingface.co does: revisions with their file lists, `resolve` with the headers that
 * describe a file, small files directly, large ones (`stored: true`) through a redirect to a storage server on another origin.
 */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";

export interface HubFile {
  readonly content: Buffer;
  readonly stored?: boolean;
}

export interface HubRequest {
  readonly method: string;
  readonly url: string;
  readonly host: string;
  readonly range: string | undefined;
  readonly authorization: string | undefined;
}

/** Takes over an answer; false leaves it to the hub. */
export type Interference = (request: IncomingMessage, response: ServerResponse, count: number) => boolean;

export interface Hub {
  readonly endpoint: string;
  readonly storage: string;
  readonly commit: string;
  readonly requests: HubRequest[];
  files: Record<string, HubFile>;
  interfere: Interference;
  close(): void;
}

export const REPOSITORY = "bees/tiny";

export async function startHub(files: Record<string, HubFile>): Promise<Hub> {
  const requests: HubRequest[] = [];
  const state = { files, interfere: (() => false) as Interference };
  const commit = createHash("sha1")
    .update(JSON.stringify(Object.keys(files)))
    .digest("hex");
  const record = (request: IncomingMessage, response: ServerResponse): boolean => {
    const { host = "", range, authorization } = request.headers;
    requests.push({ method: request.method ?? "", url: request.url ?? "", host, range, authorization });
    return state.interfere(request, response, requests.length);
  };
  const storage = await listen((request, response) => {
    if (record(request, response)) return;
    const file = state.files[decodeURIComponent(request.url ?? "").slice(1)];
    if (file === undefined) notFound(response);
    else send(request, response, file.content, { etag: '"what the storage calls it"' });
  });
  const hub = await listen((request, response) => {
    if (record(request, response)) return;
    answer(request, response, state.files, commit, storage.origin);
  });
  const close = (): void => {
    for (const { server } of [hub, storage]) {
      server.closeAllConnections();
      server.close();
    }
  };
  onTestFinished(close);
  return Object.assign(state, { endpoint: hub.origin, storage: storage.origin, commit, requests, close });
}

async function listen(
  handle: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<{ readonly server: Server; readonly origin: string }> {
  const server = createServer(handle);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { server, origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

function answer(request: IncomingMessage, response: ServerResponse, files: Record<string, HubFile>, commit: string, storage: string): void {
  const { pathname } = new URL(request.url ?? "/", "http://hub");
  const revision = new RegExp(`^/api/models/${REPOSITORY}/revision/(.+)$`).exec(pathname)?.[1];
  if (revision !== undefined && ["main", commit, "refs%2Fpr%2F1"].includes(revision)) {
    const siblings = Object.keys(files).map((rfilename) => ({ rfilename }));
    response.setHeader("content-type", "application/json").end(JSON.stringify({ id: REPOSITORY, sha: commit, siblings }));
    return;
  }
  const path = new RegExp(`^/${REPOSITORY}/resolve/${commit}/(.+)$`).exec(pathname)?.[1];
  const file = path === undefined ? undefined : files[decodeURIComponent(path)];
  if (file === undefined || path === undefined) {
    notFound(response);
    return;
  }
  response.setHeader("x-repo-commit", commit);
  if (!file.stored) {
    send(request, response, file.content, { etag: `"${gitHash(file.content)}"` });
    return;
  }
  response.setHeader("x-linked-etag", `"${sha256(file.content)}"`).setHeader("x-linked-size", file.content.length);
  response.writeHead(302, { location: `${storage}/${path}` }).end();
}

function send(request: IncomingMessage, response: ServerResponse, content: Buffer, headers: Record<string, string>): void {
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? Number.NaN);
  if (Number.isNaN(start)) {
    response.setHeader("content-length", content.length).end(request.method === "HEAD" ? undefined : content);
  } else if (start >= content.length) {
    response.writeHead(416, { "content-range": `bytes */${content.length}` }).end();
  } else {
    const range = `bytes ${start}-${content.length - 1}/${content.length}`;
    response.writeHead(206, { "content-range": range, "content-length": content.length - start }).end(content.subarray(start));
  }
}

function notFound(response: ServerResponse): void {
  response.writeHead(404, { "content-type": "application/json", "x-error-code": "RepoNotFound" }).end('{"error":"Repository not found"}');
}

export const sha256 = (content: Buffer): string => createHash("sha256").update(content).digest("hex");
export const gitHash = (content: Buffer): string => createHash("sha1").update(`blob ${content.length}\0`).update(content).digest("hex");
