/** `waggle lab` as its user runs it, on the tiny LLaVA. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Outcome, runWaggle } from "../../../testing/run-waggle.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(fileURLToPath(new URL("../.lab-", import.meta.url))); // where its imports find the packages
  const spec = `import { tinyLab } from "../../eval/src/__fixtures__/tiny-lab.ts";
    const { "C-Abstractor": cAbstractor, Linear } = tinyLab.projectors;
    export default { ...tinyLab, projectors: { "C-Abstractor": cAbstractor, Linear }, tokens: [4, 16], seeds: 1 };`;
  writeFileSync(join(folder, "spec.ts"), spec);
  const halved = `export default { ...spec, tokens: [16], halving: { at: [0.5], keep: 0.5 } };`;
  writeFileSync(join(folder, "halved.ts"), `import spec from "./spec.ts";\n${halved}`);
  writeFileSync(join(folder, "none.ts"), "export const projectors: number = 1;");
});
afterAll(() => rmSync(folder, { recursive: true }));

const run = (args: readonly string[], onOutput?: Parameters<typeof runWaggle>[2]): Promise<Outcome> =>
  runWaggle(["lab", ...args], folder, onOutput);

test("a line for every trial; stopped, the same command goes on; the report is written anew from the results", {
  timeout: 240_000,
}, async () => {
  const stopped = await run(["spec.ts", "--out", "lab"], (text, child) => {
    if (text.includes("1/3")) child.kill("SIGINT");
  });
  expect(stopped.code).toBe(1);
  expect(stopped.stdout).toMatch(
    /^3 trials\nnot defined: Linear at 4 \(it makes 16\)\n1\/3 {2}C-Abstractor, 4 tokens, seed 0: [\d.]+ %, [\d.]+ s per step\n/,
  );
  expect(stopped.stderr).toMatch(/waggle: stopped; the same command goes on\n$/);

  const { code, stdout } = await run(["spec.ts", "--out", "lab"]);
  expect(code).toBe(0);
  expect(stdout).toMatch(/1\/3 .*\(was there\)\n2\/3 .*\n3\/3 {2}Linear, 16 tokens.*\nlab\/report\.html\n$/);

  const page = readFileSync(join(folder, "lab/report.html"), "utf8");
  rmSync(join(folder, "lab/report.html"));
  expect(await run(["report", "lab"])).toEqual({ code: 0, stdout: "lab/report.html\n", stderr: "" });
  expect(readFileSync(join(folder, "lab/report.html"), "utf8")).toBe(page);
});

test("halving, it shows every trial that is trained, not only the first", { timeout: 240_000 }, async () => {
  const { code, stderr } = await run(["halved.ts", "--out", "halved"]);
  expect(code).toBe(0);
  // each begins at its first step
  expect(stderr.match(/^align +1\/7/gm)).toHaveLength(2);
});

test("says what is wrong with a spec, and with a folder that is no lab's", { timeout: 60_000 }, async () => {
  const none = await run(["none.ts", "--out", "none"]);
  expect(none).toMatchObject({ code: 1, stdout: "" });
  expect(none.stderr).toMatch(/none\.ts: expected a default export \{ projectors, tokens, … \}.*got undefined/);
  expect(existsSync(join(folder, "none"))).toBe(false);
  expect((await run(["spec.json", "--out", "none"])).stderr).toBe(
    "waggle: spec.json: expected a module (.ts, .js): projectors are functions, which JSON has not.\n",
  );
  expect(await run(["nowhere.ts", "--out", "none"])).toEqual({
    code: 1,
    stdout: "",
    stderr: "waggle: nowhere.ts: there is no such spec.\n",
  });
  const missing = await run(["report", basename(folder)]);
  expect(missing.code).toBe(1);
  expect(missing.stderr).toContain("results.json");
});
