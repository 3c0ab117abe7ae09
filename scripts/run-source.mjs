// @ts-check
import { spawnSync } from "node:child_process";
import { pathToFileURL } from "node:url";
import { root } from "./install.mjs";

/**
 * Runs a TypeScript program of this repository from source, no build needed. Relative paths in its arguments stay relative to the caller's folder.
 * @param {string} program path from the root @param {readonly string[]} options @returns {number} its exit code
 */
export function runSource(program, options) {
  const loader = pathToFileURL(`${root}/node_modules/tsx/dist/loader.mjs`).href;
  const { status } = spawnSync(process.execPath, ["--conditions=@waggle/source", "--import", loader, `${root}/${program}`, ...options], {
    cwd: process.env.INIT_CWD ?? process.cwd(),
    stdio: "inherit",
  });
  return status ?? 1;
}
