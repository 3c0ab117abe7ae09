// @ts-check
/**
 * `npm test [-- vitest arguments]`: installs what is missing, runs the tests from source, and ends with the plain
 * line `N passed, N failed` (and `, N skipped`). A file that does not load, a hook or an unhandled rejection that
 * fails counts as one failure, so the line never says "0 failed" about a red run.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { install, root } from "./install.mjs";

install();
const folder = mkdtempSync(join(tmpdir(), "waggle-test-"));
const tally = join(folder, "tally.json");
const vitest = spawn(
  process.execPath,
  ["node_modules/vitest/vitest.mjs", "run", "--reporter=default", "--reporter=./scripts/tally-reporter.mjs", ...process.argv.slice(2)],
  { cwd: root, stdio: "inherit", env: { ...process.env, WAGGLE_TALLY: tally } },
);
vitest.on("exit", (code) => {
  const { passed, failed, skipped } = readTally();
  const failures = code === 0 ? failed : Math.max(1, failed);
  rmSync(folder, { recursive: true, force: true });
  console.log(`${passed} passed, ${failures} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
  process.exitCode = failures === 0 ? 0 : 1;
});

/** What the reporter counted; a run that ended before it could report is one failure. */
function readTally() {
  try {
    return JSON.parse(readFileSync(tally, "utf8"));
  } catch {
    return { passed: 0, failed: 1, skipped: 0 };
  }
}
