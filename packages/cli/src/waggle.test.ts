import { execFile, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { pictures } from "@waggle/mini";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const waggle = fileURLToPath(new URL("../bin/waggle.js", import.meta.url));
const golden = fileURLToPath(new URL("../../../golden/", import.meta.url));
const llava = join(golden, "llava-tiny-hf");
const scenes = join(golden, "waggle-scenes"); // trained: its answers are PyTorch's, token by token
const scene = pictures[0].path;

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

let temporary: string;
let env: NodeJS.ProcessEnv;
beforeAll(() => {
  temporary = mkdtempSync(join(tmpdir(), "waggle-cli-"));
  env = { ...process.env, WAGGLE_CACHE: join(temporary, "cache"), HF_HUB_OFFLINE: "1" };
});
afterAll(() => rmSync(temporary, { recursive: true }));

/** Runs the command line as its user does. */
function run(args: readonly string[], input?: Uint8Array): Promise<Outcome> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [waggle, ...args], { env, timeout: 60_000 }, (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code ?? -1) : 0, stdout, stderr });
    });
    child.stdin?.end(input);
  });
}

function file(name: string, content: string | Uint8Array): string {
  const path = join(temporary, name);
  writeFileSync(path, content);
  return path;
}

interface Case {
  readonly prompt: string;
  readonly images: readonly string[];
  readonly promptIds: readonly number[];
  readonly tokenIds: readonly number[];
  readonly text: string;
}
const casesOf = (folder: string): readonly Case[] => JSON.parse(readFileSync(join(golden, folder, "expected.json"), "utf8")).cases;

describe("waggle generate", () => {
  test("--json prints one object with exactly these fields, and nothing on stderr", async () => {
    const { code, stdout, stderr } = await run(["generate", scenes, "--image", scene, "--prompt", "Describe the picture.", "--json"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout.trimEnd().split("\n")).toHaveLength(1);
    const ms = expect.any(Number);
    expect(JSON.parse(stdout)).toEqual({
      text: "a large white square at the bottom right.",
      tokenIds: [300, 332, 397, 375, 307, 302, 348, 383, 2],
      finishReason: "stop",
      usage: { promptTokens: expect.any(Number), imageTokens: 64, completionTokens: 9 },
      timings: { loadMs: ms, encodeMs: ms, prefillMs: ms, decodeMs: ms },
    });
  });

  test("streams the text, with a picture from standard input", async () => {
    const outcome = await run(["generate", "mini", "--image", "-", "--prompt", "Is the white square large or small?"], readFileSync(scene));
    expect(outcome).toEqual({ code: 0, stdout: "large\n", stderr: "" });
  });

  test.each(casesOf("llava-tiny-hf").slice(5, 8))(
    "--raw --greedy on golden/llava-tiny-hf: $prompt",
    async ({ prompt, images, promptIds, tokenIds, text }) => {
      const pictures = images.flatMap((name) => ["--image", join(llava, name)]);
      const { stdout } = await run([
        "generate",
        llava,
        ...pictures,
        "--prompt",
        prompt,
        "--raw",
        "--greedy",
        "--max-new-tokens",
        "24",
        "--json",
      ]);
      const usage = { promptTokens: promptIds.length, imageTokens: 16 * images.length, completionTokens: tokenIds.length };
      expect(JSON.parse(stdout)).toMatchObject({ text, tokenIds, usage });
    },
  );

  test("a language model alone, with a repetition penalty", async () => {
    const flags = ["--raw", "--greedy", "--repetition-penalty", "1.4", "--max-new-tokens", "4", "--json"];
    const { stdout } = await run(["generate", join(golden, "llama-tiny"), "--prompt", "The small cat sits on the", ...flags]);
    expect(JSON.parse(stdout).tokenIds).toEqual([158, 944, 936, 152]);
  });

  test("beams: the best answers and their scores, as JSON and line by line", async () => {
    const rows = JSON.parse(readFileSync(join(golden, "llama-tiny", "expected.json"), "utf8")).deterministicOptions.rows;
    const { sequences, scores } = rows.find(({ options }: { options: object }) => "num_return_sequences" in options);
    const ask = ["generate", join(golden, "llama-tiny"), "--raw", "--prompt", "The small cat sits on the", "--no-repeat-ngram-size", "2"];
    const beams = [...ask, "--num-beams", "3", "--num-return-sequences", "3", "--length-penalty", "1", "--early-stopping", "false"];
    const [json, lines, long] = await Promise.all([
      run([...beams, "--max-length", "27", "--json"]), // 7 of them are the prompt's
      run([...beams, "--max-new-tokens", "20"]),
      run([...ask, "--num-beams", "3", "--early-stopping", "--max-new-tokens", "20"]),
    ]);
    const found: readonly { readonly tokenIds: number[]; readonly score: number; readonly text: string }[] = JSON.parse(
      json.stdout,
    ).sequences;
    expect(found.map(({ tokenIds }) => tokenIds)).toEqual(sequences);
    expect(found.map(({ score }) => score.toFixed(3))).toEqual(scores.map((score: number) => score.toFixed(3)));
    expect(lines.stdout).toBe(found.map(({ score, text }) => `${score.toFixed(4)}\t${text}\n`).join(""));
    expect(long.stdout).toBe(`${found[0]?.text}\n`);
  });

  test("a seed gives the same draw again; --stop ends before the text", async () => {
    const ask = ["generate", scenes, "--image", scene, "--prompt", "Describe the picture.", "--json"];
    const draw = ["--temperature", "3", "--top-k", "0", "--top-p", "0.99", "--seed", "5", "--max-new-tokens", "12"];
    const [first, second, greedy] = await Promise.all([
      run([...ask, ...draw]),
      run([...ask, ...draw]),
      run([...ask, "--stop", "nope", "--stop", " square"]),
    ]);
    expect(JSON.parse(first.stdout).tokenIds).toEqual(JSON.parse(second.stdout).tokenIds);
    expect(JSON.parse(first.stdout).tokenIds).not.toEqual(JSON.parse(greedy.stdout).tokenIds);
    expect(JSON.parse(greedy.stdout)).toMatchObject({ text: "a large white", finishReason: "stop" });
  });
});

describe("asked wrongly: exit code 2, before any model is loaded", () => {
  const ask = ["generate", "mini", "--prompt", "Hi"];
  test.each([
    [["generate", "mini"], "required option '--prompt <text>' not specified"],
    [["generate", "--prompt", "Hi"], "missing required argument 'model'"],
    [[...ask, "--tempreature", "1"], "unknown option '--tempreature'"],
    [
      [...ask, "--greedy", "--temperature", "0.5", "--top-k", "4"],
      "--greedy takes the best token, --temperature and --top-k would draw at random",
    ],
    [[...ask, "--temperature", "NaN"], 'expected a number, got "NaN"'],
    [[...ask, "--temperature", "0"], "temperature: expected a number > 0, got 0; do_sample: false takes the best token"],
    [[...ask, "--max-new-tokens", "0"], "max_new_tokens: expected an integer ≥ 1, got 0"],
    [[...ask, "--top-p", "1.5", "--seed", "-1"], "seed: expected an integer ≥ 0, got -1"],
    [[...ask, "--early-stopping", "soon"], 'expected true, false or never, got "soon"'],
    [[...ask, "--num-beams", "2", "--num-return-sequences", "3"], "num_return_sequences: 3 is more than num_beams: 2"],
    [["dance"], "unknown command 'dance'"],
    [["cache", "polish"], "too many arguments"],
  ])("%j", async (args, message) => {
    const { code, stdout, stderr } = await run(args);
    expect(stderr).toContain(message);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  });

  test("--version is that of the package", async () => {
    const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
    expect(await run(["--version"])).toMatchObject({ code: 0, stdout: `${version}\n` });
  });

  test("help is no mistake", async () => {
    const { code, stdout } = await run(["generate", "--help"]);
    expect(code).toBe(0);
    expect(stdout).toContain("--no-repeat-ngram-size");
  });
});

describe("it failed: exit code 1, one typed error on stderr, nothing on stdout", () => {
  const jpeg = readFileSync(join(llava, "exif.jpg"));
  test.each<[string, () => string[], string]>([
    ["no such folder or repository", () => ["generate", "./nowhere/at/all", "--prompt", "Hi"], "HubError: ./nowhere/at/all"],
    ["a repository that is not in the cache", () => ["inspect", "some/model"], "HubError: some/model"],
    ["a text file called .png", () => ["--image", file("text.png", "no picture"), "--prompt", "Hi"], "ImageError: "],
    ["an empty picture", () => ["--image", file("empty.png", ""), "--prompt", "Hi"], "ImageError: "],
    ["a truncated JPEG", () => ["--image", file("cut.jpg", jpeg.subarray(0, 1500)), "--prompt", "Hi"], "ImageError: "],
    ["a picture that is not there", () => ["--image", "none.png", "--prompt", "Hi"], "ImageError: "],
    [
      "a placeholder without a picture",
      () => ["--raw", "--prompt", "USER: <image>\nHi ASSISTANT:"],
      "PromptError: the text has 1 image placeholder (<image>) for 0 pictures.",
    ],
    [
      "a picture without a placeholder",
      () => ["--raw", "--image", scene, "--prompt", "Hi"],
      "PromptError: the text has 0 image placeholders (<image>) for 1 picture.",
    ],
    ["a folder that holds no model", () => ["inspect", temporary], "config.json: there is no such file. A model's folder holds"],
    ["a prompt beyond the context", () => ["--prompt", "white square ".repeat(600)], "takes 1024 positions (max_position_embeddings)"],
  ])("%s", async (_, args, message) => {
    const given = args();
    const command = given[0]?.startsWith("--") ? ["generate", scenes, ...given, "--json"] : given;
    const { code, stdout, stderr } = await run(command);
    expect(stderr).toContain(message);
    expect(stderr).toMatch(/^waggle: \w+Error: /);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  });
});

describe("waggle inspect", () => {
  test("--json says parts, types, tokens per image and memory", async () => {
    const { stdout, stderr } = await run(["inspect", llava, "--json"]);
    expect(stderr).toBe("");
    const { parts, ...rest } = JSON.parse(stdout);
    expect(rest).toMatchObject({ model_type: "llava", tokensPerImage: 16, maxPositions: 512, folder: llava });
    expect(parts.map(({ name, dtypes }: { name: string; dtypes: string[] }) => [name, dtypes])).toEqual([
      ["vision encoder", ["float32"]],
      ["projector", ["float32"]],
      ["language model", ["float32"]],
    ]);
    // From the shapes in the golden case's README: embeddings and head, three layers, the last norm.
    const layer = 2 * 64 + 64 * 64 + 2 * 32 * 64 + 64 * 64 + 3 * 64 * 112;
    expect(parts[2].parameters).toBe(2 * 1024 * 64 + 3 * layer + 64);
    expect(rest.memory).toMatchObject({ weightBytes: 4 * rest.parameters, convertedBytes: 0, cacheBytesPerToken: 2 * 3 * 2 * 16 * 4 });
  });

  test("prints it for people", async () => {
    const { stdout } = await run(["inspect", scenes]);
    expect(stdout).toMatch(/^model +llava, 2\.7 M parameters$/m);
    expect(stdout).toMatch(/^tokens per image +64$/m);
    expect(stdout).toMatch(/^language model +1\.8 M +3\.6 MB +float16 /m);
  });
});

describe("waggle cache", () => {
  test("lists what was converted, and clears it", async () => {
    await run(["generate", scenes, "--prompt", "Hi", "--max-new-tokens", "1"]);
    const { files, byteLength, folder } = JSON.parse((await run(["cache", "list", "--json"])).stdout);
    expect(folder).toBe(join(temporary, "cache", "weights"));
    expect(files.length).toBeGreaterThan(0);
    expect(byteLength).toBeGreaterThan(10e6); // 2.7 M parameters in float32
    expect((await run(["cache"])).stdout).toContain("model.safetensors");
    expect(JSON.parse((await run(["cache", "clear", "--json"])).stdout)).toMatchObject({ files: files.length, byteLength });
    expect(JSON.parse((await run(["cache", "list", "--json"])).stdout).files).toEqual([]);
    expect((await run(["cache", "clear"])).stdout).toContain("deleted 0 files, 0 B");
  });
});

describe("waggle chat", () => {
  test("keeps the conversation from line to line, takes pictures and commands, and ends with the input", async () => {
    const lines = [
      "Is the white square large or small?",
      "/image none.png",
      "And this?",
      "/reset",
      `/image ${scene}`,
      "In which corner is the white square?",
      "/dance",
      "/exit",
      "never read",
    ];
    const { code, stdout } = await run(["chat", scenes, "--image", scene, "--greedy"], new TextEncoder().encode(`${lines.join("\n")}\n`));
    const said = stdout.split("\n");
    expect(code).toBe(0);
    expect(said[0]).toBe("large");
    expect(said.join("\n")).toContain("none.png"); // the error of the second question; the conversation goes on
    expect(said).toContain("bottom right");
    expect(said.at(-2)).toContain("/image FILE");
  });

  test("a signal ends it, and its code comes through", async () => {
    const child = spawn(process.execPath, [waggle, "chat", "mini"], { env, stdio: ["pipe", "pipe", "pipe"] });
    child.stdin.write("Hello\n");
    await new Promise((resolve) => child.stdout.once("data", resolve));
    child.kill("SIGTERM");
    const code = await new Promise((resolve) => child.once("exit", resolve));
    expect(code).toBe(143);
  });
});
