import { CheckpointError } from "./checkpoint-error.ts";

/** Options are checked whole: an unknown name is an error that lists the known ones. */
export function checkOptions(caller: string, options: object, known: readonly string[]): void {
  const unknown = Object.keys(options).filter((name) => !known.includes(name));
  if (unknown.length > 0) {
    throw new CheckpointError({
      code: "invalid_option",
      file: caller,
      message: `unknown option ${unknown.join(", ")}. Known options: ${known.join(", ")}.`,
    });
  }
}
