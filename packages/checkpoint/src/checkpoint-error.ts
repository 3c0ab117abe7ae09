/**
 * What can be wrong with a weight file. One error lists every problem found, each with its file and, where it
 * concerns one tensor (or one key of an index), its entry. `code`, `file` and `entry` are the first problem's.
 */
export type CheckpointErrorCode =
  | "not_found" // no such file or folder, or nothing in it that we can read
  | "unreadable" // it exists, but the operating system refuses
  | "unwritable" // no permission, or the disk is full
  | "changed" // the file is not the one whose header was read
  | "truncated" // the file ends before its header says so
  | "too_large" // beyond a named limit
  | "invalid_header"
  | "invalid_json"
  | "invalid_entry" // a tensor's description has the wrong form
  | "unknown_dtype"
  | "wrong_size" // bytes do not match shape × element size
  | "out_of_range"
  | "overlap"
  | "gap"
  | "duplicate"
  | "invalid_index"
  | "missing_shard"
  | "missing_tensor" // the index names it, the shard lacks it
  | "unexpected_tensor" // the shard holds it, the index does not say so
  | "unsafe" // asks for something that a weight file has no business with
  | "unsupported"
  | "cache_full" // the converted weights do not fit
  | "invalid_option";

export interface Problem {
  readonly code: CheckpointErrorCode;
  readonly file: string;
  readonly entry?: string;
  readonly message: string;
}

const SHOWN = 20;

export class CheckpointError extends Error {
  override readonly name: string = "CheckpointError";
  readonly code: CheckpointErrorCode;
  readonly file: string;
  readonly entry?: string;
  readonly problems: readonly Problem[];

  constructor(problems: Problem | readonly [Problem, ...Problem[]], options?: ErrorOptions) {
    const all: readonly [Problem, ...Problem[]] = "code" in problems ? [problems] : problems;
    super(describe(all), options);
    this.code = all[0].code;
    this.file = all[0].file;
    if (all[0].entry !== undefined) this.entry = all[0].entry;
    this.problems = all;
  }
}

/** Throws one error for all of `problems`; returns if there are none. */
export function throwIfAny(problems: readonly Problem[]): void {
  const [first, ...others] = problems;
  if (first) throw new CheckpointError([first, ...others]);
}

function describe(problems: readonly [Problem, ...Problem[]]): string {
  const [first] = problems;
  if (problems.length === 1) {
    return `${first.file}: ${first.entry === undefined ? "" : `${shorten(first.entry)}: `}${first.message}`;
  }
  const oneFile = problems.every((problem) => problem.file === first.file);
  const lines = problems.slice(0, SHOWN).map((problem) => {
    const where = [oneFile ? undefined : problem.file, problem.entry === undefined ? undefined : shorten(problem.entry)];
    return `  ${[...where.filter((part) => part !== undefined), problem.message].join(": ")}`;
  });
  if (problems.length > SHOWN) lines.push(`  … and ${problems.length - SHOWN} more`);
  return `${oneFile ? `${first.file}: ` : ""}${problems.length} problems:\n${lines.join("\n")}`;
}

/** Names come from the file: a hostile one may be megabytes long or hold control characters. */
export function shorten(name: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what is replaced here
  const printable = name.slice(0, 200).replace(/[\u0000-\u001f\u007f]/g, "�");
  return name.length > 200 ? `${printable}…` : printable;
}
