import { execFile, execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Block, blocksOf, withOutputs } from "../scripts/blocks.mjs";

// Every fenced `ts` block of the README files and of docs/ is written into a file of its own, type-checked, and run from
// source in a process of its own; what it prints is compared with the `text` block that follows it. After another model
// became the embedded one, WAGGLE_UPDATE=1 writes what is printed now into the pages instead; `git diff` shows what changed.

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = fileURLToPath(new URL(".blocks", import.meta.url)); // inside the repository, so that imports resolve
const documents = [
  "README.md",
  ...readdirSync(`${root}/docs`).map((name) => `docs/${name}`),
  ...readdirSync(`${root}/packages`).map((name) => `packages/${name}/README.md`),
].filter((name) => name.endsWith(".md") && existsSync(`${root}/${name}`));

const programs = documents.flatMap((document) =>
  blocksOf(readFileSync(`${root}/${document}`, "utf8")).map((block: Block) => ({
    ...block,
    document,
    title: `${document}:${block.line}`,
    file: `${folder}/${document.replace(/\W+/g, "-")}/${block.name ?? `line-${block.line}.ts`}`,
  })),
);

beforeAll(() => {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const { file, code } of programs) {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, `${code}\nexport {};\n`);
  }
  writeFileSync(`${folder}/tsconfig.json`, JSON.stringify({ extends: "../../tsconfig.tests.json", include: ["**/*.ts"] }));
});

const update = process.env.WAGGLE_UPDATE === "1";
const printed = new Map<string, Map<number, string>>(documents.map((document) => [document, new Map()]));
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
  for (const [document, outputs] of printed) {
    const before = readFileSync(`${root}/${document}`, "utf8");
    const after = withOutputs(before, outputs);
    if (update && after !== before) writeFileSync(`${root}/${document}`, after);
  }
});

test("all blocks type-check", () => {
  const problems = (() => {
    try {
      execFileSync(process.execPath, [`${root}/node_modules/typescript/bin/tsc`, "-p", folder], { encoding: "utf8", stdio: "pipe" });
      return "";
    } catch (error) {
      return error instanceof Error && "stdout" in error ? String(error.stdout) : String(error);
    }
  })();
  expect(problems).toBe("");
});

describe("blocks run", () => {
  test.each(programs.filter(({ run }) => run))("$title", async ({ document, line, file, output }) => {
    const options = ["--conditions=@waggle/source", "--import", "tsx", file];
    const { stdout } = await promisify(execFile)(process.execPath, options, { cwd: root, timeout: 60_000 });
    if (update) printed.get(document)?.set(line, stdout);
    else if (output !== null) expect(stdout.trimEnd()).toBe(output.trimEnd());
  });
});

test("README.md shows a complete example and its output by line 30", () => {
  const lines = readFileSync(`${root}/README.md`, "utf8").split("\n").slice(0, 30).join("\n");
  const [first] = blocksOf(lines);
  expect(first?.run).toBe(true);
  expect(first?.output).toBeTruthy();
});

const links = documents.flatMap((document) =>
  [...readFileSync(`${root}/${document}`, "utf8").matchAll(/\]\((?!https?:)([^)#\s]+)/g)].map(([, path = ""]) => ({
    document,
    path: relative(root, join(root, dirname(document), path)),
  })),
);

test("links lead to files that are there", () => {
  expect(links.filter(({ path }) => !existsSync(join(root, path)))).toEqual([]);
});

test("README.md leads to every page of docs/", () => {
  const linked = new Set(links.filter(({ document }) => document === "README.md").map(({ path }) => path));
  expect(documents.filter((document) => document.startsWith("docs/") && !linked.has(document))).toEqual([]);
});
