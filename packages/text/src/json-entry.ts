/**
 * A value of a JSON file that knows where it stands, so that every wrong type is reported with file, path, what was
 * expected and what was found. Reading is by kind (`string`, `boolean` …); a fall-back stands for an absent or null entry.
 */
import { TokenizerError, type TokenizerErrorCode } from "./tokenizer-error.ts";

export class JsonEntry {
  readonly file: string;
  readonly path: string;
  readonly value: unknown;

  constructor(file: string, path: string, value: unknown) {
    this.file = file;
    this.path = path;
    this.value = value;
  }

  static parse(text: string, file: string): JsonEntry {
    try {
      return new JsonEntry(file, "", JSON.parse(text.charCodeAt(0) === 0xfeff ? text.slice(1) : text));
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new TokenizerError("invalid_json", `not valid JSON (${reason}). Download the file again.`, { file });
    }
  }

  /** Neither absent nor null. */
  get present(): boolean {
    return this.value !== undefined && this.value !== null;
  }

  has(key: string): boolean {
    return this.isObject() && this.at(key).present;
  }

  isObject(): boolean {
    return typeof this.value === "object" && this.value !== null && !Array.isArray(this.value);
  }

  /** The entry below `key`; absent if there is none. */
  at(key: string): JsonEntry {
    const object = this.object();
    const path = this.path === "" ? key : `${this.path}.${key}`;
    return new JsonEntry(this.file, path, Object.hasOwn(object, key) ? object[key] : undefined);
  }

  object(): Readonly<Record<string, unknown>> {
    if (!this.isObject()) throw this.error(`expected an object, got ${describe(this.value)}`);
    return this.value as Readonly<Record<string, unknown>>;
  }

  /** The bare values of a list: for the long ones, where an entry per value would cost more than reading them. */
  values(): readonly unknown[] {
    if (!Array.isArray(this.value)) throw this.error(`expected a list, got ${describe(this.value)}`);
    return this.value as readonly unknown[];
  }

  item(index: number): JsonEntry {
    return new JsonEntry(this.file, `${this.path}[${index}]`, this.values()[index]);
  }

  list(): readonly JsonEntry[] {
    return this.values().map((_, index) => this.item(index));
  }

  string(fallback?: string): string {
    if (!this.present && fallback !== undefined) return fallback;
    if (typeof this.value !== "string") throw this.error(`expected a string, got ${describe(this.value)}`);
    return this.value as string;
  }

  /** A string of exactly one character. */
  character(fallback?: string): string {
    const text = this.string(fallback);
    if ([...text].length !== 1) throw this.error(`expected one character, got ${describe(text)}`);
    return text;
  }

  boolean(fallback?: boolean): boolean {
    if (!this.present && fallback !== undefined) return fallback;
    if (typeof this.value !== "boolean") throw this.error(`expected true or false, got ${describe(this.value)}`);
    return this.value as boolean;
  }

  /** A whole number from `minimum` (0 if not said) to 2³¹ − 1. */
  integer(fallback?: number, minimum = 0): number {
    if (!this.present && fallback !== undefined) return fallback;
    const value = this.value;
    if (typeof value !== "number" || !Number.isInteger(value) || value < minimum || value > 0x7fffffff) {
      throw this.error(`expected a whole number from ${minimum} to 2147483647, got ${describe(value)}`);
    }
    return value as number;
  }

  /** One of `choices`. */
  choice<const Choice extends string>(choices: readonly Choice[], fallback?: Choice): Choice {
    if (!this.present && fallback !== undefined) return fallback;
    const found = choices.find((choice) => choice === this.value);
    if (found === undefined) throw this.error(`expected one of ${choices.join(", ")}, got ${describe(this.value)}`);
    return found as Choice;
  }

  /** What is wrong with this entry, to be thrown. */
  error(message: string, code: TokenizerErrorCode = "invalid_entry"): TokenizerError {
    return new TokenizerError(code, message, this.path === "" ? { file: this.file } : { file: this.file, entry: this.path });
  }
}

const SHOWN = 60;

export function describe(value: unknown): string {
  if (value === undefined) return "nothing";
  if (typeof value === "string") return value.length > SHOWN ? `${JSON.stringify(value.slice(0, SHOWN))}…` : JSON.stringify(value);
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === "object" && value !== null) return `an object with the keys ${Object.keys(value).slice(0, 5).join(", ")}`;
  return String(value);
}
