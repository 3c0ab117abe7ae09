export type RuntimeErrorCode =
  | "options" // an option that does not exist, or has an impossible value
  | "disposed" // used after dispose()
  | "crashed" // the worker thread ended by itself
  | "device" // not on this machine
  | "weights" // a weight that has no data, or whose data is not where it should be
  | "compile" // ONNX Runtime refuses the graph
  | "feeds" // run() was given other inputs than the graph has, or asked for outputs that it has not
  | "run" // ONNX Runtime failed while running
  | "resident" // a resident tensor is read or written outside its bounds
  | "memory" // not enough of it
  | "internal";

export class RuntimeError extends Error {
  override readonly name: string = "RuntimeError";
  readonly code: RuntimeErrorCode;
  /** The numbers and names of the message. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: RuntimeErrorCode, message: string, details: Readonly<Record<string, unknown>> = {}, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.details = details;
  }
}

/** One error for everything that is wrong; returns if nothing is. */
export function throwIfAny(code: RuntimeErrorCode, where: string, problems: readonly string[]): void {
  if (problems.length === 0) return;
  const list = problems.length === 1 ? ` ${problems[0]}` : problems.map((problem) => `\n  ${problem}`).join("");
  throw new RuntimeError(code, `${where}:${list}`, { problems });
}

/** The unknown ones among `options`, each as a problem that lists the known. */
export function unknownOptions(options: object, known: readonly string[]): readonly string[] {
  const unknown = Object.keys(options).filter((name) => !known.includes(name));
  return unknown.map((name) => `unknown option "${name}". Known options: ${known.join(", ")}.`);
}
