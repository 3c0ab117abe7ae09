/**
 * Reads Python pickles without executing anything: a pickle is a program for a small stack machine, and this machine
 * only builds numbers, texts, lists, tuples and dictionaries. Where the program names a Python function or class, the
 * caller decides: it knows a few by name, and refuses all others. Protocols 2 to 5, binary operations only.
 */
export class PickleError extends Error {
  override readonly name = "PickleError";
  /** `truncated`: the bytes ended inside the program. `unsafe`: it wants something that data does not need. */
  readonly code: "truncated" | "unsafe" | "invalid" | "unsupported";

  constructor(code: PickleError["code"], message: string) {
    super(message);
    this.code = code;
  }
}

/** A Python function or class that the pickle names. */
export class PickleGlobal {
  readonly path: string;
  constructor(path: string) {
    this.path = path;
  }
}

/** How the caller turns names into values. */
export interface PickleHost {
  /** Called when a name occurs: throws for one that is not known. */
  check(path: string): void;
  /** The result of calling `path`, which `check` let pass. */
  call(path: string, args: readonly unknown[]): unknown;
  /** An object that is kept outside the pickle. */
  load(id: unknown): unknown;
}

export interface Unpickled {
  readonly value: unknown;
  /** The first byte behind the program. */
  readonly end: number;
}

export function readPickle(bytes: Uint8Array, start: number, host: PickleHost): Unpickled {
  const machine = new Machine(bytes, start, host);
  for (;;) {
    const code = machine.byte();
    if (code === STOP) return { value: machine.pop(), end: machine.position };
    const operation = operations[code];
    if (operation === undefined) throw new PickleError("invalid", `operation 0x${code.toString(16).padStart(2, "0")} is not supported.`);
    operation(machine);
  }
}

const STOP = 0x2e;

class Machine {
  position: number;
  stack: unknown[] = [];
  readonly outer: unknown[][] = []; // the stacks below each mark
  readonly memo: Map<number, unknown> = new Map();
  readonly host: PickleHost;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;

  constructor(bytes: Uint8Array, start: number, host: PickleHost) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.position = start;
    this.host = host;
  }

  byte(): number {
    return this.take(1)[0] ?? 0;
  }

  /** The next `length` bytes. */
  take(length: number): Uint8Array {
    const end = this.position + length;
    if (!(end <= this.#bytes.length)) throw new PickleError("truncated", "ends in the middle.");
    const taken = this.#bytes.subarray(this.position, end);
    this.position = end;
    return taken;
  }

  number(length: 1 | 2 | 4 | 8): number {
    const at = this.position;
    this.take(length);
    if (length === 1) return this.#view.getUint8(at);
    if (length === 2) return this.#view.getUint16(at, true);
    return length === 4 ? this.#view.getUint32(at, true) : Number(this.#view.getBigUint64(at, true));
  }

  double(): number {
    const at = this.position;
    this.take(8);
    return this.#view.getFloat64(at, false);
  }

  text(length: number): string {
    return new TextDecoder().decode(this.take(length));
  }

  line(): string {
    const end = this.#bytes.indexOf(0x0a, this.position);
    if (end < 0) throw new PickleError("truncated", "ends in the middle of a name.");
    const line = this.text(end - this.position);
    this.position = end + 1;
    return line;
  }

  push(value: unknown): void {
    this.stack.push(value);
  }

  pop(): unknown {
    if (this.stack.length === 0) throw new PickleError("invalid", "takes from an empty stack.");
    return this.stack.pop();
  }

  top(): unknown {
    if (this.stack.length === 0) throw new PickleError("invalid", "looks at an empty stack.");
    return this.stack.at(-1);
  }

  popTuple(length: number): readonly unknown[] {
    return Array.from({ length }, () => this.pop()).reverse();
  }

  mark(): void {
    this.outer.push(this.stack);
    this.stack = [];
  }

  popMarked(): unknown[] {
    const below = this.outer.pop();
    if (below === undefined) throw new PickleError("invalid", "ends a group that was not begun.");
    const marked = this.stack;
    this.stack = below;
    return marked;
  }

  recall(key: number): void {
    if (!this.memo.has(key)) throw new PickleError("invalid", `recalls object ${key}, which it did not remember.`);
    this.push(this.memo.get(key));
  }

  global(path: string): void {
    this.host.check(path);
    this.push(new PickleGlobal(path));
  }

  call(): void {
    const args = this.pop();
    const callee = this.pop();
    if (!(callee instanceof PickleGlobal) || !Array.isArray(args)) throw new PickleError("unsafe", "calls something that has no name.");
    this.push(this.host.call(callee.path, args));
  }
}

type Operation = (machine: Machine) => void;

const literals: Readonly<Record<number, Operation>> = {
  78: (m) => m.push(null), // NONE
  136: (m) => m.push(true), // NEWTRUE
  137: (m) => m.push(false), // NEWFALSE
  74: (m) => m.push(m.number(4) | 0), // BININT
  75: (m) => m.push(m.number(1)), // BININT1
  77: (m) => m.push(m.number(2)), // BININT2
  138: (m) => m.push(longOf(m.take(m.number(1)))), // LONG1
  139: (m) => m.push(longOf(m.take(m.number(4)))), // LONG4
  71: (m) => m.push(m.double()), // BINFLOAT
  140: (m) => m.push(m.text(m.number(1))), // SHORT_BINUNICODE
  88: (m) => m.push(m.text(m.number(4))), // BINUNICODE
  141: (m) => m.push(m.text(m.number(8))), // BINUNICODE8
  85: (m) => m.push(m.text(m.number(1))), // SHORT_BINSTRING
  84: (m) => m.push(m.text(m.number(4))), // BINSTRING
  67: (m) => m.push(m.take(m.number(1))), // SHORT_BINBYTES
  66: (m) => m.push(m.take(m.number(4))), // BINBYTES
  142: (m) => m.push(m.take(m.number(8))), // BINBYTES8
  150: (m) => m.push(m.take(m.number(8))), // BYTEARRAY8
};

const containers: Readonly<Record<number, Operation>> = {
  93: (m) => m.push([]), // EMPTY_LIST
  41: (m) => m.push([]), // EMPTY_TUPLE
  125: (m) => m.push(new Map()), // EMPTY_DICT
  143: (m) => m.push([]), // EMPTY_SET
  108: (m) => m.push(m.popMarked()), // LIST
  116: (m) => m.push(m.popMarked()), // TUPLE
  145: (m) => m.push(m.popMarked()), // FROZENSET
  133: (m) => m.push(m.popTuple(1)), // TUPLE1
  134: (m) => m.push(m.popTuple(2)), // TUPLE2
  135: (m) => m.push(m.popTuple(3)), // TUPLE3
  100: (m) => m.push(setItems(new Map(), m.popMarked())), // DICT
  97: (m) => append(m, [m.pop()]), // APPEND
  101: (m) => append(m, m.popMarked()), // APPENDS
  144: (m) => append(m, m.popMarked()), // ADDITEMS
  115: (m) => setItems(m, m.popTuple(2)), // SETITEM
  117: (m) => setItems(m, m.popMarked()), // SETITEMS
};

const operations: Readonly<Record<number, Operation>> = {
  ...literals,
  ...containers,
  128: (m) => checkProtocol(m.byte()), // PROTO
  149: (m) => void m.number(8), // FRAME
  40: (m) => m.mark(), // MARK
  48: (m) => void m.pop(), // POP
  49: (m) => void m.popMarked(), // POP_MARK
  50: (m) => m.push(m.top()), // DUP
  113: (m) => void m.memo.set(m.number(1), m.top()), // BINPUT
  114: (m) => void m.memo.set(m.number(4), m.top()), // LONG_BINPUT
  148: (m) => void m.memo.set(m.memo.size, m.top()), // MEMOIZE
  104: (m) => m.recall(m.number(1)), // BINGET
  106: (m) => m.recall(m.number(4)), // LONG_BINGET
  99: (m) => m.global(`${m.line()}.${m.line()}`), // GLOBAL
  147: (m) => m.global(m.popTuple(2).map(nameOf).join(".")), // STACK_GLOBAL
  82: (m) => m.call(), // REDUCE
  129: (m) => m.call(), // NEWOBJ
  81: (m) => m.push(m.host.load(m.pop())), // BINPERSID
  98: (m) => void m.pop(), // BUILD: attributes of an object, of which ours have none
};

function checkProtocol(protocol: number): void {
  if (protocol < 2 || protocol > 5) throw new PickleError("invalid", `has protocol ${protocol}, expected 2 to 5.`);
}

/** Two's complement, little-endian. Shapes and sizes are exact as numbers; what is larger stays a bigint. */
function longOf(bytes: Uint8Array): number | bigint {
  if (bytes.length > 1024) throw new PickleError("invalid", `holds a number of ${bytes.length} bytes.`);
  let value = 0n;
  for (const byte of [...bytes].reverse()) value = (value << 8n) | BigInt(byte);
  const signed = BigInt.asIntN(8 * bytes.length, value);
  return Number.isSafeInteger(Number(signed)) ? Number(signed) : signed;
}

/** A short value as text; anything built of others would grow with every time it occurs in itself. */
export function nameOf(value: unknown): string {
  return (typeof value === "object" && value !== null) || typeof value === "function" ? "(object)" : String(value);
}

function append(machine: Machine, items: readonly unknown[]): void {
  const list = machine.top();
  if (!Array.isArray(list)) throw new PickleError("invalid", "appends to what is no list.");
  for (const item of items) list.push(item);
}

function setItems(target: Machine | Map<unknown, unknown>, items: readonly unknown[]): Map<unknown, unknown> {
  const map = target instanceof Map ? target : target.top();
  if (!(map instanceof Map)) throw new PickleError("invalid", "sets an item of what is no dictionary.");
  if (items.length % 2 !== 0) throw new PickleError("invalid", "has a key without a value.");
  for (let index = 0; index < items.length; index += 2) map.set(items[index], items[index + 1]);
  return map;
}
