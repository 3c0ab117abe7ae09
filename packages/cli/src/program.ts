import { readFileSync } from "node:fs";
import { Command } from "commander";
import { cacheCommand } from "./cache-command.ts";
import { chatCommand } from "./chat-command.ts";
import { convertCommand, mergeCommand } from "./convert-command.ts";
import { dataCommand } from "./data-command.ts";
import { explainCommand } from "./explain-command.ts";
import { exportCommand } from "./export-command.ts";
import { generateCommand } from "./generate-command.ts";
import { inspectCommand } from "./inspect-command.ts";
import { labCommand } from "./lab-command.ts";
import { trainCommand } from "./train-command.ts";

const { version }: { version: string } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));

/** The command line as a whole. Built anew for every run: commander keeps the values that it has read. */
export function program(): Command {
  const root = new Command("waggle")
    .description("Multimodal language models on the command line.\n<model> is a folder, a Hugging Face id, or `mini`, the embedded one.")
    .version(version)
    .exitOverride()
    .configureHelp({ showGlobalOptions: true });
  for (const command of [
    generateCommand(),
    chatCommand(),
    explainCommand(),
    convertCommand(),
    mergeCommand(),
    exportCommand(),
    trainCommand(),
    labCommand(),
    inspectCommand(),
    dataCommand(),
    cacheCommand(),
  ]) {
    root.addCommand(command.exitOverride().showHelpAfterError("(waggle --help, waggle <command> --help)"));
  }
  return root;
}
