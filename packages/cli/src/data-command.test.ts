import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const waggle = fileURLToPath(new URL("../bin/waggle.js", import.meta.url));
let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "waggle-cli-data-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

function run(...args: string[]): Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [waggle, "data", "show", ...args], { timeout: 60_000 }, (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code ?? -1) : 0, stdout, stderr });
    });
  });
}

describe("waggle data show", () => {
  test("writes a page of the samples that were asked for", async () => {
    const out = join(folder, "page.html");
    const result = await run("--out", out, "--split", "test", "--count", "5", "--size", "64", "--families", "where", "box");
    expect(result).toEqual({ code: 0, stdout: `${out}: 5 samples\n`, stderr: "" });
    const html = readFileSync(out, "utf8");
    expect(html.match(/<article data-families="((where|box) ?)+">/g)).toHaveLength(5);
    expect(html.match(/title="64 × 64"/g)).toHaveLength(5);
  });

  test("says all that is wrong with its flags, and leaves no page", async () => {
    const out = join(folder, "none.html");
    const { code, stderr } = await run("--out", out, "--split", "dev", "--count", "0", "--families", "colour");
    expect(code).toBe(2);
    for (const part of ["split", "length", "colour", "color"]) expect(stderr).toContain(part);
    expect(existsSync(out)).toBe(false);
  });
});
