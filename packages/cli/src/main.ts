import { GenerationError } from "@waggle/generation";
import { CommanderError } from "commander";
import { program } from "./program.ts";

/** Runs one command line; errors go to stderr and into the exit code (1: it failed, 2: it was asked wrongly). */
export async function main(args: readonly string[]): Promise<void> {
  process.stdout.on("error", endQuietly);
  try {
    await program().parseAsync(args, { from: "user" });
  } catch (error) {
    process.exitCode = exitCode(error);
    if (!(error instanceof CommanderError)) console.error(`waggle: ${describe(error)}`); // commander has already written its own
  }
}

/** Whoever reads our output has enough of it (`waggle … | head`). */
function endQuietly(error: NodeJS.ErrnoException): void {
  if (error.code !== "EPIPE") throw error;
  if (process.stdout.listenerCount("error") === 1) process.exit(0); // else it is about to stop in order (interruptible.ts)
}

function exitCode(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  return error instanceof GenerationError && error.code === "option" ? 2 : 1;
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.name === "Error" ? error.message : `${error.name}: ${error.message}`;
}
