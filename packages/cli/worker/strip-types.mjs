// @ts-check
/** A loader of modules, see https://nodejs.org/api/module.html#hooks: TypeScript without its types. */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { transformSync } from "amaro";

/** @type {import("node:module").LoadHook} */
export async function load(url, context, nextLoad) {
  const { protocol, pathname } = new URL(url);
  if (protocol !== "file:" || !/\.m?ts$/.test(pathname)) return nextLoad(url, context);
  const { code } = transformSync(await readFile(fileURLToPath(url), "utf8"), { mode: "strip-only" });
  return { format: "module", shortCircuit: true, source: code };
}
