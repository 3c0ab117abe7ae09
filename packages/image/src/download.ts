/**
 * Pictures by http and https. An address is checked where the connection is made: every address that a name resolves to must
 * be public, on every redirect anew, so that neither a redirect nor a name server that changes its mind leads into a private network.
 */
import { lookup as resolve } from "node:dns";
import { request as httpRequest, type IncomingMessage, type RequestOptions } from "node:http";
import { request as httpsRequest } from "node:https";
import { isIP, type LookupFunction } from "node:net";
import ipaddr from "ipaddr.js";
import type { ReadLimits } from "./bytes.ts";
import { collect } from "./bytes.ts";
import { ImageError } from "./image-error.ts";
import { describe } from "./image-input.ts";

const MAX_REDIRECTS = 5;

/** Where connections may go to, and who turns names into addresses. */
export interface Network {
  readonly permits: (address: string) => boolean;
  readonly lookup: LookupFunction;
}

const resolver = resolve as LookupFunction;
const publicNetwork: Network = { permits: isPublic, lookup: resolver };
const anyNetwork: Network = { permits: () => true, lookup: resolver };

/** Global unicast addresses; those that embed an IPv4 address are not. */
export function isPublic(address: string): boolean {
  return ipaddr.isValid(address) && ipaddr.process(address).range() === "unicast";
}

export async function download(
  url: URL,
  limits: ReadLimits,
  network: Network = limits.allowPrivateAddresses ? anyNetwork : publicNetwork,
): Promise<Uint8Array> {
  const timeout = AbortSignal.timeout(limits.timeoutMs);
  const signal = limits.signal === undefined ? timeout : AbortSignal.any([limits.signal, timeout]);
  try {
    return await follow(url, limits, network, signal);
  } catch (cause) {
    limits.signal?.throwIfAborted();
    if (timeout.aborted) {
      const { timeoutMs } = limits;
      throw new ImageError(
        "timeout",
        `${describe(url)}: not complete after ${timeoutMs} ms. Pass a larger timeoutMs if that is intended.`,
        { timeoutMs },
        { cause },
      );
    }
    if (cause instanceof ImageError) throw cause;
    throw new ImageError(
      "network",
      `${describe(url)}: ${cause instanceof Error ? cause.message : String(cause)}`,
      { url: url.href },
      { cause },
    );
  }
}

async function follow(start: URL, limits: ReadLimits, network: Network, signal: AbortSignal): Promise<Uint8Array> {
  let url = start;
  for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
    const response = await open(url, network, signal);
    try {
      const status = response.statusCode ?? 0;
      const { location } = response.headers;
      if (status >= 200 && status < 300) return await body(url, response, limits);
      if (status < 300 || status >= 400 || location === undefined) {
        throw new ImageError("http-status", `${describe(url)}: the server answered ${status} ${response.statusMessage ?? ""}`.trimEnd(), {
          status,
        });
      }
      url = redirected(url, location);
    } finally {
      response.destroy();
    }
  }
  throw new ImageError("too-many-redirects", `${describe(start)}: more than ${MAX_REDIRECTS} redirects.`, { maxRedirects: MAX_REDIRECTS });
}

function redirected(from: URL, location: string): URL {
  const url = URL.canParse(location, from.href) ? new URL(location, from.href) : null;
  if (url?.protocol === "http:" || url?.protocol === "https:") return url;
  throw new ImageError("bad-url", `${describe(from)}: redirects to ${describe(location)}, which is no http(s) address.`, { location });
}

async function body(url: URL, response: IncomingMessage, limits: ReadLimits): Promise<Uint8Array> {
  const encoding = response.headers["content-encoding"] ?? "identity";
  if (encoding !== "identity") {
    throw new ImageError("network", `${describe(url)}: the server sent "${encoding}" though only "identity" was accepted.`, { encoding });
  }
  const announced = Number(response.headers["content-length"] ?? 0);
  if (announced > limits.maxBytes) {
    const { maxBytes } = limits;
    throw new ImageError(
      "too-many-bytes",
      `${describe(url)}: ${announced} bytes, more than ${maxBytes}. Pass a larger maxBytes if that is intended.`,
      { maxBytes, bytes: announced },
    );
  }
  return collect(response, url, limits);
}

/** The response's head; its body is not read yet. */
function open(url: URL, network: Network, signal: AbortSignal): Promise<IncomingMessage> {
  const host = url.hostname.replace(/^\[|\]$/g, "");
  if (isIP(host) !== 0 && !network.permits(host)) throw refused(host, host);
  const options: RequestOptions = {
    agent: false,
    lookup: guarded(network),
    signal,
    headers: { accept: "image/*", "accept-encoding": "identity", "user-agent": "waggle" },
  };
  return new Promise((resolvePromise, reject) => {
    const request = url.protocol === "https:" ? httpsRequest(url, options) : httpRequest(url, options);
    request.on("response", resolvePromise).on("error", reject).end();
  });
}

/** A lookup that fails if any of the name's addresses is not permitted: the socket connects to one of those it returns. */
function guarded({ lookup, permits }: Network): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, options, (error, address, family) => {
      if (error !== null) return callback(error, address, family);
      const addresses = typeof address === "string" ? [address] : address.map((entry) => entry.address);
      const bad = addresses.find((candidate) => !permits(candidate));
      if (bad !== undefined) return callback(refused(hostname, bad), address, family);
      callback(null, address, family);
    });
  };
}

function refused(host: string, address: string): ImageError {
  const what = host === address ? address : `${host} (${address})`;
  return new ImageError(
    "private-address",
    `${what} is not a public address; pictures are not fetched from there. Pass allowPrivateAddresses: true if that is intended.`,
    { host, address },
  );
}
