/** What can be wrong with a data file, a sample or the options of a loader. */
export type DataErrorCode =
  | "not-found"
  | "unreadable"
  | "not-json" // neither a list of objects nor JSON lines
  | "too-large" // beyond a named limit
  | "bad-row" // one row: not JSON, or not what its format asks for
  | "bad-sample" // a conversation that an encoder cannot take
  | "no-targets" // encoded, but every label is masked
  | "all-broken" // a whole epoch without one good sample
  | "option";

export interface DataErrorDetails {
  readonly file?: string;
  /** From 0. */
  readonly row?: number;
  readonly cause?: unknown;
}

/** Says where, what was expected, what was found. A dataset throws one for a broken sample; `batches` skips it or stops. */
export class DataError extends Error {
  override readonly name = "DataError";
  readonly code: DataErrorCode;
  readonly file: string | null;
  /** From 0; null where no single row is the trouble. */
  readonly row: number | null;

  constructor(code: DataErrorCode, message: string, { file, row, cause }: DataErrorDetails = {}) {
    const where = [...(file === undefined ? [] : [file]), ...(row === undefined ? [] : [`row ${row}`])].join(", ");
    super(where === "" ? message : `${where}: ${message}`, cause === undefined ? undefined : { cause });
    this.code = code;
    this.file = file ?? null;
    this.row = row ?? null;
  }
}

/** Refuses option names that nobody reads, and lists every other problem with them. */
export function checkOptions(where: string, options: object, known: readonly string[], problems: readonly (string | null)[] = []): void {
  const wrong = [
    ...Object.keys(options)
      .filter((name) => !known.includes(name))
      .map((name) => `${name}: is not an option. There are: ${known.join(", ")}.`),
    ...problems.filter((problem) => problem !== null),
  ];
  if (wrong.length > 0) throw new DataError("option", `${where}: ${wrong.join("\n  ")}`);
}

/** A problem with a number that is to be whole, for {@link checkOptions}. */
export function wholeFrom(low: number, name: string, value: number | undefined): string | null {
  if (value === undefined || (Number.isSafeInteger(value) && value >= low)) return null;
  return `${name}: expected a whole number from ${low}, got ${value}.`;
}
