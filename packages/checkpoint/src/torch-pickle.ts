/**
 * What `torch.save` puts into a pickle: dictionaries of tensors, each a view (offset, shape, strides) of a storage that
 * lies outside. Only the names in the tables below are known; a pickle that names anything else is refused, because it
 * would run it in Python.
 */
import type { DataType } from "./data-type.ts";
import { nameOf, PickleError, PickleGlobal, type PickleHost, readPickle } from "./pickle.ts";

export interface TorchStorage {
  readonly key: string;
  /** `undefined` for bytes whose type each tensor says itself. */
  readonly dtype: DataType | undefined;
  readonly type: string;
  readonly elements: number;
  /** Elements that lie before it in the storage `key`: old files store views of storages. */
  readonly start: number;
}

/** A tensor as the pickle describes it; nothing of this is checked against the file yet. */
export class TorchTensor {
  readonly storage: TorchStorage;
  readonly offset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
  readonly dtype: DataType | undefined;
  readonly type: string;

  constructor(storage: TorchStorage, offset: number, shape: readonly number[], strides: readonly number[], type?: PickleGlobal) {
    this.storage = storage;
    this.offset = offset;
    this.shape = shape;
    this.strides = strides;
    this.dtype = type === undefined ? storage.dtype : elementTypes[type.path];
    this.type = type?.path ?? storage.type;
  }
}

const storageTypes: Readonly<Record<string, DataType>> = {
  "torch.FloatStorage": "float32",
  "torch.HalfStorage": "float16",
  "torch.BFloat16Storage": "bfloat16",
  "torch.DoubleStorage": "float64",
  "torch.LongStorage": "int64",
  "torch.IntStorage": "int32",
  "torch.CharStorage": "int8",
  "torch.ByteStorage": "uint8",
  "torch.BoolStorage": "bool",
};

const elementTypes: Readonly<Record<string, DataType>> = {
  "torch.float32": "float32",
  "torch.float16": "float16",
  "torch.bfloat16": "bfloat16",
  "torch.float64": "float64",
  "torch.int64": "int64",
  "torch.int32": "int32",
  "torch.int8": "int8",
  "torch.uint8": "uint8",
  "torch.bool": "bool",
};

/** Functions and classes that only build data, and what they build. */
const calls: Readonly<Record<string, (args: readonly unknown[]) => unknown>> = {
  "torch._utils._rebuild_tensor": (args) => tensorOf(args),
  "torch._utils._rebuild_tensor_v2": (args) => tensorOf(args, { marks: args[6] }),
  "torch._utils._rebuild_tensor_v3": (args) => tensorOf(args, { type: args[6], marks: args[7] }),
  "torch._utils._rebuild_parameter": ([data]) => data,
  "torch._utils._rebuild_parameter_with_state": ([data]) => data,
  "torch.Size": ([sizes]) => sizes,
  "torch.device": (args) => args.map(nameOf).join(":"),
  "collections.OrderedDict": ([pairs]) => mapOf(pairs),
  "collections.defaultdict": () => new Map(),
  "__builtin__.set": ([items]) => items ?? [],
  "builtins.set": ([items]) => items ?? [],
  "__builtin__.dict": ([pairs]) => mapOf(pairs),
  "builtins.dict": ([pairs]) => mapOf(pairs),
  "__builtin__.bytearray": ([bytes]) => bytes,
  "builtins.bytearray": ([bytes]) => bytes,
  "_codecs.encode": ([text]) => new TextEncoder().encode(nameOf(text)),
};

const isType = (path: string): boolean => /^torch\.(\w+Storage|[a-z]+\d+\w*|bool)$|^torch\.storage\.(Untyped|Typed)Storage$/.test(path);

/** Reads one pickle of a file by `torch.save`. Everything that it names and we do not know is in one error. */
export function readTorchPickle(
  bytes: Uint8Array,
  start: number,
): { readonly value: unknown; readonly end: number; readonly storages: ReadonlyMap<string, TorchStorage> } {
  const unknown = new Set<string>();
  const storages = new Map<string, TorchStorage>();
  const host: PickleHost = {
    check: (path) => {
      if (!Object.hasOwn(calls, path) && !isType(path)) unknown.add(path);
    },
    call: (path, args) => (Object.hasOwn(calls, path) ? calls[path]?.(args) : new PickleGlobal(path)),
    load: (id) => {
      const storage = storageOf(id);
      storages.set(storage.key, storage.start === 0 ? storage : (storages.get(storage.key) ?? storage));
      return storage;
    },
  };
  try {
    const result = readPickle(bytes, start, host);
    if (unknown.size === 0) return { ...result, storages };
  } catch (error) {
    // After an unknown object the rest may not fit together; the object is the reason.
    if (unknown.size === 0 || (error instanceof PickleError && error.code === "truncated")) throw error;
  }
  throw new PickleError(
    "unsafe",
    `names ${[...unknown].join(", ")}, which Python would run. A file of weights needs none of that; save its state_dict alone.`,
  );
}

function storageOf(id: unknown): TorchStorage {
  const [kind, type, key, , elements, view] = Array.isArray(id) ? (id as readonly unknown[]) : [];
  if (kind !== "storage" || !(type instanceof PickleGlobal) || !isSize(elements) || !(typeof key === "string" || isSize(key))) {
    throw new PickleError("invalid", "refers to something outside that is no storage.");
  }
  const start = Array.isArray(view) ? (view as readonly unknown[])[1] : 0;
  if (!isSize(start)) throw new PickleError("invalid", "has a view of a storage that begins nowhere.");
  return { key: String(key), dtype: storageTypes[type.path], type: type.path, elements, start };
}

/** `marks` say that values count with another sign than the storage has. PyTorch saves views by `torch._neg_view` so. */
function tensorOf(args: readonly unknown[], { type, marks }: { readonly type?: unknown; readonly marks?: unknown } = {}): TorchTensor {
  const [storage, offset, shape, strides] = args;
  const valid = isSize(offset) && isSizes(shape) && isSizes(strides) && shape.length === strides.length;
  if (!isStorage(storage) || !valid)
    throw new PickleError("invalid", "builds a tensor from what is no storage, offset, shape and strides.");
  if (marks instanceof Map && [...marks.values()].includes(true))
    throw new PickleError(
      "unsupported",
      `has a tensor that is marked ${[...marks.keys()].map(nameOf).join(", ")}; save its .resolve_neg().resolve_conj().`,
    );
  return new TorchTensor(storage, offset, shape, strides, type instanceof PickleGlobal ? type : undefined);
}

function isStorage(value: unknown): value is TorchStorage {
  return typeof value === "object" && value !== null && "key" in value && "elements" in value;
}

function isSize(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function isSizes(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every(isSize);
}

function mapOf(pairs: unknown): Map<unknown, unknown> {
  if (pairs instanceof Map) return pairs;
  const isPairs = Array.isArray(pairs) && pairs.every((pair) => Array.isArray(pair) && pair.length === 2);
  return new Map(isPairs ? (pairs as [unknown, unknown][]) : []);
}

const MOST_VALUES = 1_000_000;
const DEEPEST = 32;

/** All tensors inside `value`, named by the path that leads to them: `{ model: { weight } }` gives `model.weight`. */
export function tensorsIn(value: unknown): readonly (readonly [string, TorchTensor])[] {
  const found: (readonly [string, TorchTensor])[] = [];
  let seen = 0;
  const walk = (inside: unknown, path: readonly string[]): void => {
    seen += 1;
    if (seen > MOST_VALUES || path.length > DEEPEST)
      throw new PickleError("unsafe", `holds more than ${MOST_VALUES} values, or more than ${DEEPEST} levels.`);
    if (inside instanceof TorchTensor) found.push([path.join("."), inside]);
    else if (inside instanceof Map) for (const [key, item] of inside) walk(item, [...path, nameOf(key)]);
    else if (Array.isArray(inside)) for (const [index, item] of inside.entries()) walk(item, [...path, String(index)]);
  };
  walk(value, []);
  return found;
}
