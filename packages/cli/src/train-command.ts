import { Command } from "commander";
import { interruptible } from "./interruptible.ts";
import { openRecipe } from "./open-recipe.ts";

interface Flags {
  readonly out: string;
  readonly resume?: boolean;
  readonly json?: boolean;
}

export function trainCommand(): Command {
  return new Command("train")
    .description("train a model by a recipe: which model, what of it learns in which stage, from which data")
    .argument("<recipe>", "JSON file, or a module (.ts, .js) whose default export is a Recipe of @waggle/train")
    .requiredOption("--out <dir>", "folder of the run: checkpoints, logs, report, what was trained; made if missing")
    .option("--resume", "go on with the run in --out as if it had never stopped")
    .option("--json", "one JSON line per optimiser step on stdout, and nothing else")
    .action(async (file: string, { out, resume = false, json = false }: Flags) => {
      const recipe = await openRecipe(file);
      const { ProgressLine, stepLine, trainRecipe } = await import("@waggle/train");
      const line = new ProgressLine();
      const train = (signal: AbortSignal): Promise<unknown> =>
        trainRecipe(recipe, {
          ...{ out, resume, signal },
          onEvent(event) {
            if (!json) line.write(event);
            else if (event.type === "step") process.stdout.write(stepLine(event.record));
          },
        });
      await interruptible(train, new Error("stopped; go on with --resume")).finally(() => line.close());
    });
}
