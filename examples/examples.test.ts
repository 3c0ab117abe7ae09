import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { boxOverlap, parseBox, scenes } from "@waggle/data";
import { lab } from "@waggle/eval";
import { pictures } from "@waggle/mini";
import sharp from "sharp";
import { describe, expect, test } from "vitest";
import { drawBox } from "./draw-box.ts";

const folder = fileURLToPath(new URL(".", import.meta.url));

/** The reference implementation's answers of a small trained model. */
const trained = fileURLToPath(new URL("../golden/waggle-scenes/", import.meta.url));
const { cases }: { cases: readonly { image: string; question: string; text: string }[] } = JSON.parse(
  readFileSync(`${trained}expected.json`, "utf8"),
);

function referenceAnswer(image: string, question: string): string {
  const found = cases.find((each) => each.image === image && each.question === question);
  if (!found) throw new Error(`no reference answer for "${question}" about ${image}`);
  return found.text;
}

/** The true answer to a question about a picture of the embedded model's. */
function trueAnswer(name: string, question: string): string {
  const asked = pictures.find((each) => each.name === name)?.questions.find((each) => each.question === question);
  if (!asked) throw new Error(`no question "${question}" about ${name}`);
  return asked.answer;
}

/** Runs an example from source, as its user would. */
async function run(name: string, ...options: string[]): Promise<{ stdout: string; stderr: string; code: number }> {
  const command = ["--conditions=@waggle/source", "--import", "tsx", `${folder}${name}.ts`, ...options];
  try {
    return { ...(await promisify(execFile)(process.execPath, command, { cwd: folder, timeout: 300_000 })), code: 0 };
  } catch (error) {
    const { stdout, stderr, code } = error as { stdout: string; stderr: string; code: number };
    return { stdout, stderr, code };
  }
}

test("caption-folder prints a caption for every picture", async () => {
  const { stdout } = await run("caption-folder", trained, trained);
  const expected = pictures.map(({ name }) => `${name}.png: ${referenceAnswer(`${name}.png`, "Describe the picture.")}`);
  expect(stdout.trimEnd().split("\n")).toEqual(expected);
});

test("stream-chat answers the first question, and the second one from the same conversation", async () => {
  const { stdout } = await run("stream-chat");
  const [first, second] = stdout.trimEnd().split("\n");
  const question = "Is the white square large or small?";
  expect(first).toBe(`${question} ${trueAnswer("scene-01", question)}`);
  expect(second).toMatch(/^In which corner is the white square\? \w/);
});

test("compose-by-hand gives the reference's answer", async () => {
  const { stdout } = await run("compose-by-hand");
  expect(stdout.trimEnd()).toBe(referenceAnswer("scene-02.png", "Describe the picture."));
});

describe("demo", () => {
  test("answers about the bundled picture and says what it did", async () => {
    const { stdout } = await run("demo");
    expect(stdout).toMatch(/^answer {4}a (small|large) \w+/m);
    expect(stdout).toMatch(/^image {5}\d+ tokens/m);
    expect(stdout).toMatch(/\d+ tokens\/s$/m);
  });

  test("takes the user's picture and question", async () => {
    const question = "What color is the cross?";
    const { stdout } = await run("demo", "--image", `${trained}scene-09.png`, "--prompt", question);
    expect(stdout).toContain(`answer    ${trueAnswer("scene-09", question)}\n`);
  });

  test("says what is wrong with a picture that is none", async () => {
    const { stderr, code } = await run("demo", "--image", fileURLToPath(import.meta.url));
    expect(code).toBe(1);
    expect(stderr).toMatch(/^\nImageError: .*examples\.test\.ts/);
  });

  test("names the option that it does not know", async () => {
    const { stderr, code } = await run("demo", "--picture", "x.png");
    expect(code).toBe(1);
    expect(stderr).toMatch(/'--picture'.*--image/s);
  });
});

describe("box", () => {
  test("says when the answer holds none", async () => {
    const { stdout, stderr, code } = await run("box", "--model", trained, "--box", "green square");
    expect(stdout).toMatch(/^question {2}Provide the bounding box .* green square$/m);
    expect(stderr).toContain("the answer holds no box, so nothing was drawn");
    expect(code).toBe(1);
  });

  /** A green square, asked for by name. */
  async function sees(out: string): Promise<number> {
    const { stdout } = await run("box", "--box", "green square", "--out", join(out, "box.png"));
    const answer = parseBox(/^answer +(.*)$/m.exec(stdout)?.[1] ?? "") ?? [0, 0, 0, 0];
    const truth = [0.09, 0.654, 0.248, 0.813] as const; // measured in the picture
    return boxOverlap(answer, truth);
  }

  test("draws what the embedded model answers", async () => {
    const out = mkdtempSync(join(tmpdir(), "waggle-box-"));
    try {
      expect(await sees(out)).toBeGreaterThan(0);
      expect((await sharp(join(out, "box.png")).metadata()).format).toBe("png");
    } finally {
      rmSync(out, { recursive: true });
    }
  });

  // Not yet: its boxes share 0.37 with the true ones on the mean. When this goes red, it can, and `fails` goes.
  test.fails("the embedded model sees where it is", async () => {
    const out = mkdtempSync(join(tmpdir(), "waggle-box-"));
    try {
      expect(await sees(out)).toBeGreaterThan(0.5);
    } finally {
      rmSync(out, { recursive: true });
    }
  });

  test("is drawn where it says, on a picture that is enlarged", async () => {
    const out = mkdtempSync(join(tmpdir(), "waggle-box-"));
    try {
      await drawBox(pictures[0].path, [0.25, 0.5, 0.75, 1], join(out, "box.png"));
      const { data, info } = await sharp(join(out, "box.png")).removeAlpha().raw().toBuffer({ resolveWithObject: true });
      const at = (x: number, y: number) =>
        [...data.subarray((Math.round(y * info.height) * info.width + Math.round(x * info.width)) * 3)].slice(0, 3);
      for (const [x, y] of [
        [0.25, 0.7],
        [0.75, 0.7],
        [0.5, 0.5],
      ] as const)
        expect(at(x, y)).toEqual([0, 229, 255]);
      expect(at(0.5, 0.7)).not.toEqual([0, 229, 255]);
      expect(info.width).toBe(384);
    } finally {
      rmSync(out, { recursive: true });
    }
  });
});

test("projector-lab: one's own projector stands beside published ones", async () => {
  const { default: spec } = await import("./projector-lab.ts");
  const out = mkdtempSync(join(tmpdir(), "waggle-lab-"));
  try {
    const stages = spec.stages.map((stage) => ({ ...stage, steps: 1, batchSize: 2 }));
    const questions = scenes({ split: "test", seed: 0, length: 6, questions: 1, families: { color: 1, where: 1 } });
    const { trials } = await lab({ ...spec, tokens: [4], seeds: 1, stages, questions, out });
    expect(trials.map(({ projector, status, right }) => [projector, status, right.length])).toEqual(
      ["C-Abstractor", "Resampler", "Mean"].map((name) => [name, "done", 6]),
    );
    expect(readFileSync(join(out, "report.html"), "utf8")).toContain("C-Abstractor − Mean");
  } finally {
    rmSync(out, { recursive: true });
  }
});

/** Tests that take a minute or more run with WAGGLE_SLOW=1 only. */
const slow = test.skipIf(process.env.WAGGLE_SLOW !== "1");

slow(
  "train-adapter: a traffic light means nothing to the embedded model before, and the right thing after",
  { timeout: 300_000 },
  async () => {
    const out = mkdtempSync(join(tmpdir(), "waggle-lights-"));
    try {
      const { stdout } = await run("train-adapter", out);
      const answers = (when: string): string[] => [...stdout.matchAll(new RegExp(`^${when} +(.*)$`, "gm"))].map(([, line = ""]) => line);
      expect(answers("before")).toHaveLength(3);
      expect(answers("before")).not.toEqual(["red: stop", "yellow: wait", "green: go"]);
      expect(answers("after")).toEqual(["red: stop", "yellow: wait", "green: go"]);
      expect(readdirSync(out)).toContain("report.html");
    } finally {
      rmSync(out, { recursive: true });
    }
  },
);

test.each(readdirSync(folder).filter((name) => /(?<!\.test)\.ts$/.test(name)))("%s is one idea in at most 40 lines", (name) => {
  expect(readFileSync(`${folder}${name}`, "utf8").trimEnd().split("\n").length).toBeLessThanOrEqual(40);
});
