/**
 * Questions to the hub. `@huggingface/hub` knows its interface; this adds what it leaves to the caller: the endpoint's
 * and token's place, time limits, a second try when the server is busy, and errors that say what to do.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { HubApiError, listFiles, modelInfo } from "@huggingface/hub";
import { HubError } from "./hub-error.ts";

export interface HubListing {
  readonly commit: string;
  readonly files: readonly string[];
}

/** What the hub says about a file before it is fetched. */
export interface RemoteFile {
  readonly path: string;
  readonly url: string;
  /** The blob's name in the cache. */
  readonly etag: string;
  readonly size?: number;
  /** SHA-256 of the content, which the hub announces for large files. */
  readonly sha256?: string;
}

const ANSWER_MS = 30_000;
const RETRY_DELAYS_MS = [250, 1_000, 3_000];

export class HubClient {
  readonly repository: string;
  readonly #endpoint: string;
  readonly #token: string | undefined;
  readonly #signal: AbortSignal | undefined;

  constructor(repository: string, endpoint: string, token: string | undefined, signal: AbortSignal | undefined) {
    this.repository = repository;
    this.#endpoint = endpoint.replace(/\/+$/, "");
    this.#token = token;
    this.#signal = signal;
  }

  /** The commit that `revision` stands for now, and its files. */
  async list(revision: string): Promise<HubListing> {
    const common = { hubUrl: this.#endpoint, fetch: this.#ask };
    try {
      const info = await modelInfo({ ...common, name: this.repository, revision, additionalFields: ["sha", "filePaths"] });
      const { sha: commit, filePaths } = info;
      if (typeof commit !== "string" || !isFileName(commit))
        throw this.error("server_error", `names the commit ${JSON.stringify(commit)}.`);
      if (filePaths.length > 0) return { commit, files: filePaths };
      const files: string[] = [];
      const repo = { type: "model", name: this.repository } as const;
      for await (const entry of listFiles({ ...common, repo, recursive: true, revision: commit })) {
        if (entry.type === "file") files.push(entry.path);
      }
      return { commit, files };
    } catch (error) {
      throw this.#explain(error, revision);
    }
  }

  /** Asks for a file's identity without its content. */
  async describe(commit: string, path: string): Promise<RemoteFile> {
    const encoded = path.split("/").map(encodeURIComponent).join("/");
    const url = `${this.#endpoint}/${this.repository}/resolve/${encodeURIComponent(commit)}/${encoded}`;
    let asked = url;
    for (let hop = 0; hop < 10; hop++) {
      const answer = await this.#ask(asked, { method: "HEAD", redirect: "manual", headers: { "accept-encoding": "identity" } });
      const { headers, status } = answer;
      if (status >= 400) throw this.statusError(status, path);
      const linked = headers.get("x-linked-etag");
      const location = headers.get("location");
      // The hub describes the file in the answer that redirects to its storage; what the storage calls it is another matter.
      if (linked === null && status >= 300 && location !== null) {
        asked = new URL(location, asked).href;
        continue;
      }
      return this.#remoteFile(path, url, headers, status < 300);
    }
    throw this.error("server_error", "redirects without end.", path);
  }

  #remoteFile(path: string, url: string, headers: Headers, direct: boolean): RemoteFile {
    const linked = unquote(headers.get("x-linked-etag"));
    const etag = linked ?? unquote(headers.get("etag"));
    if (etag === undefined || !isFileName(etag)) {
      throw this.error("server_error", `the answer has the etag ${JSON.stringify(etag ?? null)}, expected a name.`, path);
    }
    const length = headers.get("x-linked-size") ?? (direct ? headers.get("content-length") : null);
    const size = length !== null && /^\d+$/.test(length) ? Number(length) : undefined;
    return {
      path,
      url,
      etag,
      ...(size === undefined ? {} : { size }),
      ...(linked !== undefined && /^[0-9a-f]{64}$/.test(linked) ? { sha256: linked } : {}),
    };
  }

  /** Fetches from byte `start` on; the body is the caller's. */
  async fetchFrom(file: RemoteFile, start: number, signal: AbortSignal): Promise<Response> {
    const range = start > 0 ? { range: `bytes=${start}-` } : {};
    return this.#request(file.url, { signal, headers: { "accept-encoding": "identity", ...range } });
  }

  error(code: HubError["code"], message: string, file?: string): HubError {
    return new HubError(code, this.repository, message, file === undefined ? {} : { file });
  }

  statusError(status: number, file: string | undefined, revision?: string): HubError {
    const options = { status, ...(file === undefined ? {} : { file }) };
    if (status === 401 || status === 403) {
      const token = this.#token === undefined ? "No token was given: set HF_TOKEN." : "The token does not open it.";
      const message = `the hub refuses it (${status}): it is private, gated, or does not exist. ${token}`;
      return new HubError("unauthorized", this.repository, message, options);
    }
    if (status === 404) {
      const what = revision === undefined ? "it" : `the repository, or its revision ${JSON.stringify(revision)},`;
      return new HubError("not_found", this.repository, `${this.#endpoint} does not know ${what} (404).`, options);
    }
    return new HubError("server_error", this.repository, `${this.#endpoint} answered with status ${status}.`, options);
  }

  unreachable(cause: unknown, file?: string): HubError {
    const local = file === undefined ? "no folder is called that, and " : "";
    const message = `${local}${this.#endpoint} cannot be reached (${reasonOf(cause)}). To use what the cache holds, set HF_HUB_OFFLINE=1.`;
    return new HubError("unreachable", this.repository, message, { cause, ...(file === undefined ? {} : { file }) });
  }

  /** A fetch with a time limit that asks again when the server is busy. Given to `@huggingface/hub` too. */
  readonly #ask: typeof fetch = async (url, init) => {
    for (const delay of [...RETRY_DELAYS_MS, undefined]) {
      const answer = await this.#request(url, { ...init, signal: AbortSignal.timeout(ANSWER_MS) });
      if (delay === undefined || !isBusy(answer.status)) return answer;
      await answer.body?.cancel();
      await sleep(delay, undefined, this.#signal ? { signal: this.#signal } : {}).catch(() => this.#signal?.throwIfAborted());
    }
    throw this.error("server_error", "is busy."); // not reached: the last round returns
  };

  async #request(url: string | URL | Request, init: RequestInit): Promise<Response> {
    const headers = new Headers(init.headers);
    const href = url instanceof Request ? url.url : url;
    if (this.#token !== undefined && new URL(href).origin === new URL(this.#endpoint).origin) {
      headers.set("authorization", `Bearer ${this.#token}`);
    }
    const signals = [init.signal, this.#signal].filter((signal) => signal !== null && signal !== undefined);
    try {
      return await fetch(url, { ...init, headers, signal: AbortSignal.any(signals) });
    } catch (cause) {
      this.#signal?.throwIfAborted();
      throw this.unreachable(cause);
    }
  }

  #explain(error: unknown, revision: string): unknown {
    if (error instanceof HubApiError) return this.statusError(error.statusCode, undefined, revision);
    if (error instanceof SyntaxError) return this.error("server_error", `${this.#endpoint} did not answer with JSON.`);
    return error;
  }
}

export function isBusy(status: number): boolean {
  return status === 429 || status >= 500;
}

/** A name that stays in its folder. */
export function isFileName(name: string): boolean {
  return /^[^/\\\0:]+$/.test(name) && name !== "." && name !== "..";
}

function unquote(etag: string | null): string | undefined {
  return etag === null ? undefined : etag.replace(/^W\//, "").replaceAll('"', "");
}

export function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  const inner = cause.cause;
  if (inner instanceof Error) return "code" in inner ? String(inner.code) : inner.message;
  return cause.name === "TimeoutError" ? "no answer in time" : cause.message;
}
