/**
 * Where the rows of a JSON file lie, without parsing them: a list of objects (at the top, or as the one list of an
 * object, MiniGPT-4's `{ "annotations": [...] }`), or JSON lines. Goes through the file's bytes once, 300 MB/s.
 */
import { DataError } from "./data-error.ts";

const [QUOTE, BACKSLASH, COMMA, NEWLINE] = [0x22, 0x5c, 0x2c, 0x0a];
const [OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = [0x5b, 0x5d, 0x7b, 0x7d];
/** Space, tab, line breaks, and what a byte order mark is made of. */
const BLANK: ReadonlySet<number> = new Set([0x20, 0x09, NEWLINE, 0x0d, 0xef, 0xbb, 0xbf]);

/** Of each row in turn: its first byte and the byte behind its last. */
export type Rows = number[];

/** The spans of a list's elements, from the byte behind its bracket on. */
export class ListScanner {
  readonly rows: Rows = [];
  #closed = false;
  #broken: string | null = null;
  #start = -1;
  #lastByte = -1;
  #depth = 0;
  #inString = false;
  #escaped = false;

  readonly #inObject: boolean;

  /** `inObject`: the list is an object's, and more may stand behind it. */
  constructor({ inObject }: { readonly inObject: boolean }) {
    this.#inObject = inObject;
  }

  /** Whether nothing more needs to be read. */
  get done(): boolean {
    return this.#broken !== null || (this.#closed && this.#inObject);
  }

  /** `offset`: where `bytes` lie in the file. */
  push(bytes: Uint8Array, offset: number): void {
    for (let i = 0; i < bytes.length && !this.done; i++) {
      if (this.#inString) i = this.#text(bytes, i, offset);
      else {
        const byte = bytes[i] as number;
        if (!BLANK.has(byte)) this.#structure(byte, offset + i);
      }
    }
  }

  /** From `i` to the end of the text or of the bytes. Most of a file is text: this loop is what opening it costs. */
  #text(bytes: Uint8Array, from: number, offset: number): number {
    let escaped = this.#escaped;
    let i = from;
    for (; i < bytes.length; i++) {
      const byte = bytes[i] as number;
      if (byte === NEWLINE) {
        this.#broken = `a text of row ${this.#row} does not end in its line`;
        break;
      }
      if (escaped) escaped = false;
      else if (byte === BACKSLASH) escaped = true;
      else if (byte === QUOTE) {
        this.#inString = false;
        this.#lastByte = offset + i;
        break;
      }
    }
    this.#escaped = escaped;
    return i;
  }

  #structure(byte: number, at: number): void {
    if (this.#closed) {
      this.#broken = `it ends with row ${this.#row - 1}, and there is more behind it`;
      return;
    }
    if (this.#depth === 0 && (byte === COMMA || byte === CLOSE_LIST)) {
      this.#endRow();
      this.#closed = byte === CLOSE_LIST;
      return;
    }
    if (this.#start < 0) this.#start = at;
    this.#lastByte = at;
    if (byte === QUOTE) this.#inString = true;
    else if (byte === OPEN_OBJECT || byte === OPEN_LIST) this.#depth++;
    else if (byte === CLOSE_OBJECT || byte === CLOSE_LIST) this.#depth--;
    if (this.#depth < 0) this.#broken = `row ${this.#row} closes what it did not open`;
  }

  #endRow(): void {
    if (this.#start < 0) return;
    this.rows.push(this.#start, this.#lastByte + 1);
    this.#start = -1;
  }

  get #row(): number {
    return this.rows.length / 2;
  }

  /** What is wrong with the list, once the file has been read. */
  get problem(): string | null {
    if (this.#broken !== null || this.#closed) return this.#broken;
    return this.#start < 0 ? "the list is not closed" : `the file ends within row ${this.#row}`;
  }
}

/** The spans of the lines of JSON lines; of a list whose rows stand on lines of their own, without its commas and brackets. */
export class LineScanner {
  readonly rows: Rows = [];
  readonly #ofList: boolean;
  #start = -1;
  #end = -1;
  #opened = false;
  #whole = 0;

  constructor({ ofList }: { readonly ofList: boolean }) {
    this.#ofList = ofList;
  }

  push(bytes: Uint8Array, offset: number): void {
    for (let i = 0; i < bytes.length; i++) {
      const byte = bytes[i] as number;
      if (byte === NEWLINE) this.finish();
      if (BLANK.has(byte)) continue;
      const at = offset + i;
      if (this.#ofList && this.#start < 0 && (byte === COMMA || byte === OPEN_LIST || byte === CLOSE_LIST)) continue;
      if (this.#start < 0) {
        this.#start = at;
        this.#opened = byte === OPEN_OBJECT;
      }
      if (!this.#ofList || byte === CLOSE_OBJECT) this.#end = at + 1;
    }
  }

  finish(): void {
    if (this.#start >= 0) {
      this.rows.push(this.#start, Math.max(this.#end, this.#start));
      if (this.#opened && this.#end > 0) this.#whole++;
    }
    this.#start = -1;
    this.#end = -1;
  }

  /** Whether most of several lines hold a whole object: then they are the rows. */
  get mostlyObjects(): boolean {
    return this.#whole > 1 && this.#whole > this.rows.length / 4;
  }
}

/** How a file begins: with a list, whose first row may stand at `at`, or with lines of objects. */
export function beginningOf(
  head: Uint8Array,
  file: string,
): { readonly kind: "list"; readonly at: number; readonly inObject: boolean } | { readonly kind: "lines" } {
  const first = head.findIndex((byte) => !BLANK.has(byte));
  if (head[first] === OPEN_LIST) return { kind: "list", at: first + 1, inObject: false };
  if (head[first] === OPEN_OBJECT) {
    const annotations = /^\{\s*"annotations"\s*:\s*\[/.exec(new TextDecoder("latin1").decode(head.subarray(first)));
    return annotations ? { kind: "list", at: first + annotations[0].length, inObject: true } : { kind: "lines" };
  }
  const found = first < 0 ? "nothing" : JSON.stringify(new TextDecoder().decode(head.subarray(first, first + 20)));
  throw new DataError("not-json", `expected a JSON list of objects ([{…}, …]) or one JSON object per line, found ${found}.`, { file });
}
