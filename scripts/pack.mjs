// @ts-check
/**
 * Packs every package as npm would publish it, checks the tarballs (publint --strict, attw for ESM), installs them
 * in an empty folder and runs the README's first example there with plain Node: what a stranger gets.
 */
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { blocksOf } from "./blocks.mjs";
import { install, npm, root } from "./install.mjs";

const execute = promisify(execFile);
const folder = mkdtempSync(join(tmpdir(), "waggle-pack-"));
try {
  install();
  await call(process.execPath, ["node_modules/typescript/bin/tsc", "-b"], root);
  await call(...npm(["pack", "--workspace", "packages", "--silent", "--pack-destination", folder]), root);
  const tarballs = readdirSync(folder);
  console.log(`packed ${tarballs.length} packages`);

  const queue = [...tarballs];
  /** @type {string[]} */
  const problems = [];
  await Promise.all(Array.from({ length: Math.min(2, availableParallelism()) }, () => checkFrom(queue, problems)));
  if (problems.length > 0) throw new Error(`${problems.length} tarballs have problems:\n\n${problems.join("\n\n")}`);
  console.log("publint --strict and attw: no problems");

  await runFirstExample(tarballs);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** @param {string[]} queue @param {string[]} problems */
async function checkFrom(queue, problems) {
  for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
    const tarball = join(folder, name);
    for (const [tool, ...options] of [
      ["publint/src/cli.js", "--strict", tarball],
      ["@arethetypeswrong/cli/dist/index.js", "--profile", "esm-only", "--no-emoji", "--format", "ascii", tarball],
    ]) {
      await call(process.execPath, [`node_modules/${tool}`, ...options], root).catch((error) => problems.push(`${name}\n${error.message}`));
    }
  }
}

/** @param {readonly string[]} tarballs */
async function runFirstExample(tarballs) {
  const stranger = join(folder, "stranger");
  mkdirSync(stranger);
  const dependencies = Object.fromEntries(tarballs.map((name) => [name.replace(/^waggle-(.*)-\d.*$/, "@waggle/$1"), `file:../${name}`]));
  writeFileSync(join(stranger, "package.json"), JSON.stringify({ private: true, type: "module", dependencies }));
  await call(...npm(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]), stranger);

  const [example] = blocksOf(readFileSync(join(root, "README.md"), "utf8")).filter(({ output }) => output !== null);
  if (!example) throw new Error("README.md has no example with printed output");
  writeFileSync(join(stranger, "example.mjs"), example.code);
  const { stdout } = await call(process.execPath, ["example.mjs"], stranger);
  if (stdout.trim() !== example.output?.trim()) {
    throw new Error(`The README's first example, run from the tarballs, printed\n${stdout}\ninstead of\n${example.output}`);
  }
  console.log(`installed the tarballs in an empty folder; the README's first example printed\n${stdout.trim()}`);
}

/** Runs a command; its error carries what it printed. @param {string} command @param {readonly string[]} options @param {string} cwd */
async function call(command, options, cwd) {
  try {
    return await execute(command, options, { cwd, maxBuffer: 2 ** 26, shell: process.platform === "win32" && command === "npm" });
  } catch (error) {
    const { stdout = "", stderr = "", message } = /** @type {Error & { stdout?: string, stderr?: string }} */ (error);
    throw new Error(`${[command, ...options].join(" ")}\n${stdout}${stderr}` || message);
  }
}
