// @ts-check
/**
 * Installs what is missing, and nothing otherwise. Plain Node: it runs before any dependency is there.
 * "Installed" means that each package of package-lock.json stands in node_modules with the locked version
 * (npm's own record of that is node_modules/.package-lock.json); packages for other platforms may be absent.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("..", import.meta.url));

/** @typedef {{ version?: string, link?: boolean, resolved?: string, optional?: boolean }} LockedPackage */

/** @param {string} name @returns {Record<string, LockedPackage>} */
function packagesOf(name) {
  return JSON.parse(readFileSync(`${root}/${name}`, "utf8")).packages;
}

/** The locked packages that are not installed as locked. */
export function missingPackages() {
  if (!existsSync(`${root}/node_modules/.package-lock.json`)) return ["node_modules"];
  const installed = packagesOf("node_modules/.package-lock.json");
  return Object.entries(packagesOf("package-lock.json"))
    .filter(([path]) => path.includes("node_modules/"))
    .filter(([path, locked]) => {
      const found = installed[path];
      if (!found) return !locked.optional;
      return locked.link ? !existsSync(`${root}/${path}/package.json`) : found.version !== locked.version;
    })
    .map(([path]) => path);
}

/**
 * The command line of npm: the one that started us, else the one on the path.
 * @param {readonly string[]} options @returns {[command: string, options: string[]]}
 */
export function npm(options) {
  const running = process.env.npm_execpath;
  return running?.endsWith("npm-cli.js") ? [process.execPath, [running, ...options]] : ["npm", [...options]];
}

/** Runs `npm ci` when a package is missing; ends the program when that fails. Its output goes to stderr. */
export function install() {
  const missing = missingPackages();
  if (missing.length === 0) return;
  console.error(`Not installed as locked: ${missing.slice(0, 3).join(", ")}${missing.length > 3 ? ", …" : ""}. Running npm ci.`);
  const [command, options] = npm(["ci", "--no-audit", "--no-fund"]);
  const { status, error } = spawnSync(command, options, {
    cwd: root,
    stdio: ["ignore", process.stderr, process.stderr],
    shell: process.platform === "win32" && command === "npm",
  });
  if (status === 0) return;
  console.error(`npm ci failed${error ? ` (${error.message})` : ""}. It needs the network, once; "npm ci" alone shows more.`);
  process.exit(1);
}
