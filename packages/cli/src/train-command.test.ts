/** `waggle train` as its user runs it, on the tiny LLaVA and four sentences. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Outcome, runWaggle } from "../../../testing/run-waggle.ts";

const model = fileURLToPath(new URL("../../../golden/llava-tiny-hf", import.meta.url));

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "waggle-cli-train-"));
  const rows = ["one", "two words", "three small words", "four"].map((value, i) => ({
    id: `${i}`,
    conversations: [
      { from: "human", value: `Say ${value}.` },
      { from: "gpt", value },
    ],
  }));
  writeFileSync(join(folder, "data.json"), JSON.stringify(rows));
});
afterAll(() => rmSync(folder, { recursive: true }));

const run = (args: readonly string[], onOutput?: Parameters<typeof runWaggle>[2]): Promise<Outcome> =>
  runWaggle(["train", ...args], folder, onOutput);

const align = {
  name: "align",
  trainable: ["projector"],
  data: { file: "data.json" },
  batchSize: 2,
  optimizer: { type: "adamW", lr: 0.01 },
};

/** Writes a recipe of one stage and returns its name. */
function recipe(name: string, stage: Readonly<Record<string, unknown>>): string {
  writeFileSync(join(folder, name), JSON.stringify({ model, stages: [{ ...align, ...stage }] }));
  return name;
}

const linesOf = (stdout: string): readonly Record<string, unknown>[] =>
  stdout
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line));
const checkpoints = (out: string): readonly string[] => readdirSync(join(folder, out, "checkpoints"));

describe("waggle train", { timeout: 120_000 }, () => {
  test("--json prints one line for every optimiser step, with exactly these fields, and nothing else", async () => {
    const { code, stdout, stderr } = await run([recipe("three.json", { steps: 3 }), "--out", "three", "--json"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const number = expect.any(Number);
    const line = { stage: "align", loss: number, gradNorm: number, lr: 0.01, tokensPerSecond: number, waitMs: number };
    expect(linesOf(stdout)).toEqual([1, 2, 3].map((step) => ({ step, ...line })));
    expect(checkpoints("three")).toEqual(["step-00000003.safetensors"]);
    expect(readFileSync(join(folder, "three/metrics.jsonl"), "utf8")).toBe(stdout);
  });

  test("a recipe in TypeScript, its types not erased by anybody before", async () => {
    const code = `
      import { openConversations } from "@waggle/data";
      import { assemble } from "@waggle/mllm";
      import { adamW, type Recipe, stage } from "@waggle/train";
      const rate: number = 0.01;
      export default {
        model: () => assemble(${JSON.stringify(model)}),
        stages: async () => [
          stage({ name: "typed", trainable: ["projector"], data: await openConversations("data.json"), steps: 1, batchSize: 2, optimizer: adamW({ lr: rate }) }),
        ],
      } satisfies Recipe;`;
    const inside = mkdtempSync(fileURLToPath(new URL("../.recipe-", import.meta.url))); // where its imports find the packages
    try {
      writeFileSync(join(inside, "recipe.ts"), code);
      const { stdout, stderr } = await run([join(inside, "recipe.ts"), "--out", "typed", "--json"]);
      expect(stderr).toBe("");
      expect(linesOf(stdout)).toMatchObject([{ step: 1, stage: "typed" }]);
      expect(readdirSync(inside)).toEqual(["recipe.ts"]);
    } finally {
      rmSync(inside, { recursive: true });
    }
  });

  test("names every mistake of a recipe before anything starts", async () => {
    const name = recipe("wrong.json", { stepz: 3, clip: "no", data: { file: "data.json", pictures: "." }, schedule: { type: "cosin" } });
    const { code, stdout, stderr } = await run([name, "--out", "wrong"]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    for (const part of ["wrong.json", "stepz", "clip", "pictures", "schedule"]) expect(stderr).toContain(part);
    expect(existsSync(join(folder, "wrong"))).toBe(false);
    const missing = await run(["nowhere.json", "--out", "wrong"]);
    expect(missing).toEqual({ code: 1, stdout: "", stderr: "waggle: nowhere.json: there is no such recipe.\n" });
    expect((await run([name])).code).toBe(2); // --out was forgotten
  });

  test("SIGTERM leaves a checkpoint, as Ctrl-C does", async () => {
    const stopped = await run([recipe("ended.json", { steps: 500 }), "--out", "ended", "--json"], (text, child) => {
      if (linesOf(text).length === 3) child.kill("SIGTERM");
    });
    expect(stopped).toMatchObject({ code: 1, stderr: "waggle: stopped; go on with --resume\n" });
    const done = linesOf(stopped.stdout).length;
    expect(done).toBeLessThan(500);
    expect(checkpoints("ended")).toEqual([`step-${String(done).padStart(8, "0")}.safetensors`]);
  });

  test("Ctrl-C leaves a checkpoint, and --resume goes on from it as if nothing had been", async () => {
    const name = recipe("long.json", { steps: 12 });
    const stopped = await run([name, "--out", "stopped", "--json"], (text, child) => {
      if (linesOf(text).length !== 3) return;
      child.kill("SIGINT");
      setTimeout(() => child.kill("SIGINT"), 2); // npx sends what the terminal has sent already, and the process may end within 50 ms
    });
    expect(stopped.code).toBe(1);
    expect(stopped.stderr).toBe("waggle: stopped; go on with --resume\n");
    const done = linesOf(stopped.stdout).length;
    expect(done).toBeLessThan(12);
    expect(checkpoints("stopped")).toEqual([`step-${String(done).padStart(8, "0")}.safetensors`]);

    const refused = await run([name, "--out", "stopped"]);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(/^waggle: TrainingError: stopped holds a run .*resume/);
    const resumed = await run([name, "--out", "stopped", "--json", "--resume"]);
    const straight = await run([name, "--out", "straight", "--json"]);
    const losses = (...outcomes: readonly Outcome[]) =>
      outcomes.flatMap(({ stdout }) => linesOf(stdout).map(({ step, loss }) => [step, loss]));
    expect(losses(stopped, resumed)).toEqual(losses(straight));
  });

  test("whoever reads the lines has enough of them (| head): the run stops in order", async () => {
    const { code, stderr } = await run([recipe("head.json", { steps: 500 }), "--out", "head", "--json"], (_, child) =>
      child.stdout?.destroy(),
    );
    expect({ code, stderr }).toEqual({ code: 1, stderr: "waggle: stopped; go on with --resume\n" });
    expect(checkpoints("head")).toHaveLength(1);
  });

  test("two runs into one folder: one of them trains, the other says why not", async () => {
    const name = recipe("both.json", { steps: 4 });
    const outcomes = await Promise.all([run([name, "--out", "both", "--json"]), run([name, "--out", "both", "--json"])]);
    const [first, second] = outcomes.sort((a, b) => (a.code ?? 0) - (b.code ?? 0)) as [Outcome, Outcome];
    expect(first.code).toBe(0);
    expect(linesOf(first.stdout)).toHaveLength(4);
    expect(second).toMatchObject({ code: 1, stdout: "" });
    expect(second.stderr).toMatch(/another process trains here|holds a run/);
  });
});
