/** The command line as its user runs it: a process of its own. */
import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const waggle = fileURLToPath(new URL("../packages/cli/bin/waggle.js", import.meta.url));

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** `onOutput` sees all that was printed on stdout so far, each time that there is more. */
export function runWaggle(
  args: readonly string[],
  cwd: string,
  onOutput: (text: string, child: ChildProcess) => void = () => {},
): Promise<Outcome> {
  const child = spawn(process.execPath, [waggle, ...args], { cwd });
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (chunk: Buffer) => {
    stdout += chunk;
    onOutput(stdout, child);
  });
  child.stderr.on("data", (chunk: Buffer) => {
    stderr += chunk;
  });
  return new Promise((resolve) => child.on("close", (code) => resolve({ code, stdout, stderr })));
}
