import { TokenizerError } from "./tokenizer-error.ts";

/** Refuses option names that `known` does not list. */
export function checkOptions(caller: string, options: object, known: readonly string[]): void {
  const unknown = Object.keys(options).filter((key) => !known.includes(key));
  if (unknown.length > 0) {
    throw new TokenizerError("invalid_option", `${caller}: unknown option ${unknown.join(", ")}; known: ${known.join(", ")}.`);
  }
}

/** A token id as it may come from a caller: a whole number from 0. */
export function checkId(caller: string, id: number): void {
  if (!Number.isInteger(id) || id < 0) {
    throw new TokenizerError("invalid_ids", `${caller}: expected token ids (whole numbers from 0), got ${String(id)}.`);
  }
}
