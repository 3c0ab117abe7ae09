import { rename, writeFile } from "node:fs/promises";
import type { SceneDataset, SceneFamily, SceneKind, SceneSample, SceneSplit } from "@waggle/data";
import { Command, InvalidArgumentError } from "commander";

interface Flags {
  readonly out: string;
  readonly split: SceneSplit;
  readonly seed: number;
  readonly count: number;
  readonly size: number;
  readonly questions: number;
  readonly families?: readonly SceneFamily[];
  readonly kinds?: readonly SceneKind[];
}

export function dataCommand(): Command {
  const show = new Command("show")
    .description("write an HTML page of drawn scenes with their questions and answers, and what can be guessed without the pictures")
    .requiredOption("--out <file>", "the page, which needs no other file")
    .option("--split <name>", "train, validation, test or composition (colours and shapes together that the others never show)", "train")
    .option("--seed <n>", "other seeds, other scenes", number, 0)
    .option("--count <n>", "how many samples", number, 60)
    .option("--size <pixels>", "side of the pictures", number, 96)
    .option("--questions <n>", "at most so many about a picture", number, 4)
    .option("--families <name...>", "ask only such questions: color, count, box, …")
    .option("--kinds <name...>", "draw only such scenes: plain, varied, sign, chart")
    .action(showScenes);
  return new Command("data").description("look at training data").addCommand(show.exitOverride());
}

async function showScenes(flags: Flags, command: Command): Promise<void> {
  const { sceneViewer } = await import("@waggle/data");
  const dataset = await open(flags, command);
  const samples: SceneSample[] = [];
  for (let i = 0; i < dataset.length; i++) samples.push(await dataset.sample(i));
  // under another name first, so that no half-written page is ever there
  await writeFile(`${flags.out}.tmp`, await sceneViewer(samples, `Scenes: ${flags.split}, seed ${flags.seed}`));
  await rename(`${flags.out}.tmp`, flags.out);
  process.stdout.write(`${flags.out}: ${dataset.length} samples\n`);
}

/** What is wrong with the flags is the caller's mistake: exit code 2. */
async function open({ split, seed, count, size, questions, families, kinds }: Flags, command: Command): Promise<SceneDataset> {
  const { scenes } = await import("@waggle/data");
  try {
    return scenes({
      split,
      seed,
      length: count,
      size,
      questions,
      ...(families && { families: Object.fromEntries(families.map((name) => [name, 1])) }),
      ...(kinds && { kinds: Object.fromEntries(kinds.map((name) => [name, 1])) }),
    });
  } catch (error) {
    return command.error(`error: ${error instanceof Error ? error.message : error}`, { exitCode: 2 });
  }
}

function number(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value)) throw new InvalidArgumentError("expected a whole number.");
  return value;
}
