#!/usr/bin/env node
// @ts-check
/**
 * `waggle`. In the published package it runs what was built; in a clone of the repository (which has the tsconfig.json
 * that the package leaves out) it runs the sources through tsx, so that nothing has to be built first.
 */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { constants } from "node:os";
import { fileURLToPath, pathToFileURL } from "node:url";

const inClone = existsSync(new URL("../tsconfig.json", import.meta.url));

if (inClone) {
  runSources();
} else {
  const { main } = await import(new URL("../dist/main.js", import.meta.url).href);
  await main(process.argv.slice(2));
}

function runSources() {
  const loader = pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href;
  const entry = fileURLToPath(new URL("../src/start.ts", import.meta.url));
  const child = spawn(process.execPath, ["--conditions=@waggle/source", "--import", loader, entry, ...process.argv.slice(2)], {
    stdio: "inherit",
  });
  for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"])) {
    // A terminal sends Ctrl-C to both processes; every other signal comes to this one alone and is passed on.
    process.on(signal, () => (signal === "SIGINT" && process.stdin.isTTY) || child.kill(signal));
  }
  child.on("error", (error) => {
    console.error(`waggle: ${error.message}`);
    process.exitCode = 1;
  });
  child.on("exit", (code, signal) => {
    process.exitCode = signal ? 128 + constants.signals[signal] : (code ?? 1);
  });
}
