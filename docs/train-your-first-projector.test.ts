/** The page's recipe is one, and with WAGGLE_SLOW=1: what the page says of a run is what happens. */
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { mini } from "@waggle/mini";
import { readRecipe } from "@waggle/train";
import { afterAll, beforeAll, expect, test } from "vitest";
import { blocksOf } from "../scripts/blocks.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const page = readFileSync(`${root}docs/train-your-first-projector.md`, "utf8");
const json = /```json\n(\{\n {2}"model"[\s\S]*?)```/.exec(page)?.[1] ?? "";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "waggle-first-"));
  writeFileSync(join(folder, "recipe.json"), json);
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Runs a program from source in the page's folder. */
async function node(file: string, ...args: string[]): Promise<string> {
  const command = ["--conditions=@waggle/source", "--import", import.meta.resolve("tsx"), file, ...args];
  return (await promisify(execFile)(process.execPath, command, { cwd: folder, timeout: 300_000 })).stdout;
}

test("the recipe can be read", async () => {
  const row = { id: "0", conversations: [] };
  for (const split of ["train", "validation"]) {
    mkdirSync(join(folder, split), { recursive: true });
    writeFileSync(join(folder, `${split}.json`), JSON.stringify([row]));
  }
  const { stages } = await readRecipe(join(folder, "recipe.json"), { mini });
  expect(stages).toMatchObject([{ name: "projector", trainable: ["projector"], steps: 200, batchSize: 12 }]);
});

test.skipIf(process.env.WAGGLE_SLOW !== "1")("the answer is wrong before the run and right after it", { timeout: 300_000 }, async () => {
  const draw = join(root, "docs/.draw.ts"); // inside the repository, so that imports resolve
  writeFileSync(draw, blocksOf(page).find(({ name }) => name === "draw.ts")?.code ?? "");
  await node(draw, ".").finally(() => rmSync(draw));
  const waggle = join(root, "packages/cli/bin/waggle.js");
  const ask = (model: string): Promise<string> =>
    node(waggle, "generate", model, "--image", "validation/1.png", "--prompt", "Would a bee land here?");
  const [, before] = /What does the model say before\?[\s\S]*?```text\n([\s\S]*?)```/.exec(page) ?? [];
  expect(await ask("mini")).toBe(before);
  await node(waggle, "train", "recipe.json", "--out", "runs/first");
  expect(await ask("runs/first/adapter")).toBe("no\n");
  await node(waggle, "merge", "mini", "runs/first/adapter", "--to", "bee");
  expect(await ask("bee")).toBe("no\n");
});
