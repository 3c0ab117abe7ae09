/** Whole labs around the tiny LLaVA. */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { SceneDataset } from "@waggle/data";
import { cAbstractor } from "@waggle/projectors";
import { vicunaV1 } from "@waggle/text";
import { adamW, stage } from "@waggle/train";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { common, tinyBase, tinyLab } from "./__fixtures__/tiny-lab.ts";
import { type LabEvent, type LabOptions, type LabResults, lab, readResults, resultsCsv, writeLabReport } from "./index.ts";

let scratch: string;
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), "waggle-lab-"));
});
afterAll(() => rmSync(scratch, { recursive: true }));

async function run(name: string, options: Partial<LabOptions> = {}): Promise<{ results: LabResults; out: string; events: LabEvent[] }> {
  const out = join(scratch, name);
  const events: LabEvent[] = [];
  const results = await lab({ ...tinyLab, out, threads: 1, onEvent: (event) => void events.push(event), ...options });
  return { results, out, events };
}

/** All but what a clock measured. */
const untimed = ({ trials, ...rest }: LabResults) => ({
  ...rest,
  trials: trials.map(({ secondsPerStep, stages, ...trial }) => ({ ...trial, stages: stages.map(({ name, steps }) => [name, steps]) })),
});

const only = (...names: string[]) => Object.fromEntries(Object.entries(tinyLab.projectors).filter(([name]) => names.includes(name)));

/** Other words about the same pictures. */
const reworded = (questions: SceneDataset): SceneDataset => ({
  ...questions,
  describe(index) {
    const described = questions.describe(index);
    return { ...described, questions: described.questions.map((each) => ({ ...each, question: `Say: ${each.question}` })) };
  },
});

describe("a lab", { timeout: 240_000 }, () => {
  let straight: Awaited<ReturnType<typeof run>>;
  beforeAll(async () => {
    straight = await run("straight");
  }, 240_000);

  test("trains every pair that is defined with every seed, and asks each the same questions", () => {
    const { results, events, out } = straight;
    const pairs = ["C-Abstractor 4", "C-Abstractor 16", "Linear 16", "Resampler 4", "Resampler 16"];
    expect(results.trials.map(({ projector, tokens, seed }) => `${projector} ${tokens} ${seed}`)).toEqual(
      [0, 1].flatMap((seed) => pairs.map((pair) => `${pair} ${seed}`)),
    );
    expect(events[0]).toMatchObject({ type: "plan", left: ["Linear at 4 (it makes 16)"] });
    expect(results.patches).toBe(16);
    for (const trial of results.trials) {
      expect(trial).toMatchObject({ status: "done", steps: 7, parameters: expect.any(Number) });
      expect(trial.right).toHaveLength(results.questions.length);
      expect(trial.shuffled).toHaveLength(results.questions.length);
      expect(trial.losses.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6, 7]);
      expect(trial.families.reduce((sum, { n }) => sum + n, 0)).toBe(results.questions.length);
      expect(readdirSync(join(out, "trials", `${trial.projector}-${trial.tokens}-${trial.seed}`))).not.toContain("checkpoints");
    }
    expect(results.trials[2]?.parameters).toBe(32 * 64 + 64);
  });

  test("finds the same when two trials run at once and one has failed before, which ends both", async () => {
    let begun = 0;
    const base: LabOptions["base"] = (projector, seed) => {
      if (++begun > 7) throw new Error("no such base"); // 6 pairs are planned, the first trial begins
      return tinyLab.base(projector, seed);
    };
    await expect(run("parallel", { parallel: 2, base })).rejects.toThrow(/^C-Abstractor, (4|16) tokens, seed 0: Error: no such base$/);
    expect(existsSync(join(scratch, "parallel", "lab.lock"))).toBe(false);
    const { results } = await run("parallel", { parallel: 2 });
    expect(untimed(results)).toEqual(untimed(straight.results));
  });

  test("looks at each picture once for all trials", () => {
    expect(readdirSync(join(straight.out, "features"))).toHaveLength(12 + 8);
  });

  test("draws what projectors looked at, and writes table and report that follow from results.json", async () => {
    const { out, results } = straight;
    const drawings = results.maps.map(({ file }) => file);
    expect(drawings).toHaveLength(4 * 3); // not of the linear one: it maps patch by patch
    for (const file of drawings) expect(readFileSync(join(out, file)).subarray(1, 4).toString("latin1")).toBe("PNG");
    expect(await readResults(join(out, "results.json"))).toEqual(results);
    const page = readFileSync(join(out, "report.html"), "utf8");
    rmSync(join(out, "report.html"));
    await writeLabReport(out);
    expect(readFileSync(join(out, "report.html"), "utf8")).toBe(page);
    expect(page.match(/data:image\/png/g)).toHaveLength(drawings.length);
    expect(readFileSync(join(out, "results.csv"), "utf8")).toBe(resultsCsv(results));
    expect(resultsCsv(results).trimEnd().split("\n")).toHaveLength(1 + results.trials.length * 2);
  });

  test("the same seeds give the same numbers", async () => {
    const { results } = await run("again", { projectors: only("C-Abstractor"), tokens: [4] });
    const expected = straight.results.trials.filter(({ projector, tokens }) => projector === "C-Abstractor" && tokens === 4);
    expect(untimed(results).trials).toEqual(untimed({ ...straight.results, trials: expected }).trials);
  });

  test("stopped in a step it goes on there, and what is finished is not done again", async () => {
    const small = { projectors: only("C-Abstractor"), tokens: [4] } as const;
    const stop = new AbortController();
    const onEvent = (event: LabEvent): void => {
      if (event.type === "train" && event.trial.seed === 1 && event.event.type === "step" && event.event.record.step === 5)
        stop.abort(new Error("enough"));
    };
    await expect(run("stopped", { ...small, signal: stop.signal, onEvent })).rejects.toThrow("enough");
    const { results, events } = await run("stopped", small);
    const steps = events.flatMap((event) => (event.type === "train" && event.event.type === "step" ? [event.event.record.step] : []));
    expect(steps).toEqual([6, 7]);
    expect(events.flatMap((event) => (event.type === "result" ? [event.fresh] : []))).toEqual([false, true]);
    const expected = straight.results.trials.filter(({ projector, tokens }) => projector === "C-Abstractor" && tokens === 4);
    expect(untimed(results).trials).toEqual(untimed({ ...straight.results, trials: expected }).trials);
  });

  test("with more projectors or tokens it trains what is missing; with a changed one it refuses", async () => {
    const { events } = await run("straight", { tokens: [16], seeds: 1 });
    expect(events.filter(({ type }) => type === "train")).toEqual([]);
    const changed = [
      { projectors: { "C-Abstractor": (tokens: number) => cAbstractor({ tokens, depth: 2 }) } },
      { base: tinyBase({ layer: -1 }) },
      { base: tinyBase({ prompt: vicunaV1 }) },
      { questions: reworded(tinyLab.questions) },
    ];
    for (const options of changed) {
      const call = run("straight", { projectors: only("C-Abstractor"), tokens: [4], seeds: 1, ...options });
      await expect(call).rejects.toThrow(/result\.json: fingerprint: is of another/);
    }
  });
});

describe("a lab that", { timeout: 240_000 }, () => {
  test("was killed at any moment goes on", async () => {
    const out = join(scratch, "killed");
    const script = fileURLToPath(new URL("./__fixtures__/tiny-lab.ts", import.meta.url));
    const child = spawn(process.execPath, ["--conditions=@waggle/source", "--import", "tsx", script, out]);
    await new Promise<void>((resolve) => {
      child.stdout.on("data", (text: Buffer) => {
        if (text.includes("Linear 4")) child.kill("SIGKILL"); // in the second stage of the third trial
      });
      child.on("close", () => resolve());
    });
    const { results, events } = await run("killed", { seeds: 1 });
    const fresh = events.flatMap((event) => (event.type === "result" ? [event.fresh] : []));
    expect(fresh).toEqual([false, false, true, true, true]);
    expect(results.trials.map(({ status }) => status)).toEqual(new Array(5).fill("done"));
    const first = events.find((event) => event.type === "train");
    expect(first).toMatchObject({ event: { type: "start", step: 3 } }); // the checkpoint at the end of the first stage
  });

  test("halves leaves the worst behind where it stands", async () => {
    const { results } = await run("halved", { tokens: [16], seeds: 1, halving: { at: [0.5], keep: 0.5 } });
    const stopped = results.trials.filter(({ status }) => status === "stopped");
    const done = results.trials.filter(({ status }) => status === "done");
    expect([done.length, stopped.length]).toEqual([2, 1]);
    const lossAt4 = (trial: LabResults["trials"][number]): number => trial.losses[3]?.loss ?? Number.NaN;
    expect(stopped[0]).toMatchObject({ steps: 4, right: "", families: [] });
    for (const trial of done) {
      expect(trial.steps).toBe(7);
      expect(lossAt4(trial)).toBeLessThan(lossAt4(stopped[0] as LabResults["trials"][number]));
    }
    const { events } = await run("halved", { tokens: [16], seeds: 1, halving: { at: [0.5], keep: 0.5 } });
    expect(events.filter(({ type }) => type === "train")).toEqual([]);
  });

  test("meets NaN writes it down and goes on", async () => {
    const stages = [stage({ ...common, name: "wild", trainable: ["projector", "language"], optimizer: adamW({ lr: 1e30 }), steps: 20 })];
    const { results } = await run("wild", { stages, projectors: only("C-Abstractor"), tokens: [4] });
    expect(results.trials.map(({ status, right }) => [status, right])).toEqual([
      ["diverged", ""],
      ["diverged", ""],
    ]);
    expect(readFileSync(join(scratch, "wild", "report.html"), "utf8")).toContain("2 diverged");
  });

  test("has used up its budget begins no trial and says how many are left", async () => {
    const { events, results } = await run("hurried", { budget: { minutes: 1e-9 } });
    expect(results.trials).toEqual([]);
    expect(events.at(-2)).toEqual({ type: "budget", left: 10 });
    const later = await run("killed", { budget: { minutes: 1e-9 } }); // five of its ten were finished before
    expect(later.results.trials).toHaveLength(5);
  });

  test("is asked wrongly says everything at once, before it makes a folder", async () => {
    const wrong = {
      projectors: { "a/b": 3 },
      tokens: [4, 4],
      seeds: 0,
      stages: [{ name: "not of stage()" }],
      halving: { at: [0.5, 0.2], keep: 2 },
      budget: { minutes: 0 },
      threads: 1.5,
    };
    await expect(run("wrong", wrong as never)).rejects.toThrow(
      /projectors\.a\/b: [\s\S]*got number[\s\S]*tokens: [\s\S]*seeds: [\s\S]*stages: [\s\S]*threads: [\s\S]*budget: [\s\S]*halving\.at: [\s\S]*halving\.keep: /,
    );
    await expect(run("wrong", { tokenz: 3 } as never)).rejects.toThrow(/tokenz: is not an option/);
    await expect(run("wrong", { tokens: [5] })).rejects.toThrow(
      /projectors\.C-Abstractor: with 5 tokens: [\s\S]*square[\s\S]*tokens: Linear makes 16, which is not among 5/,
    );
    const broken = () => () => {
      throw new TypeError("no forward");
    };
    await expect(run("wrong", { projectors: { Mine: broken }, tokens: [4, 16] })).rejects.toThrow(
      /projectors\.Mine: with 4 tokens: TypeError: no forward\n.*with 16 tokens/,
    );
    expect(existsSync(join(scratch, "wrong", "trials"))).toBe(false);
  });

  test("cannot have its folder says why", async () => {
    writeFileSync(join(scratch, "file"), "");
    await expect(lab({ ...tinyLab, out: join(scratch, "file", "lab") })).rejects.toThrow("ENOTDIR");
  });
});
