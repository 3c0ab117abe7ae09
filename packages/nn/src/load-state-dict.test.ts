import type { WeightSource } from "@waggle/graph";
import { expect, test } from "vitest";
import { Embedding, Linear, loadStateDict, Module, ModuleList, StateDictError } from "./index.ts";

function source(shape: readonly number[], dtype: WeightSource["dtype"] = "float32"): WeightSource {
  return { dtype, shape, fingerprint: `${dtype} ${shape}`, read: () => Promise.reject(new Error("loading reads no weights")) };
}

function file(
  tensors: Readonly<Record<string, WeightSource>>,
  name = "model.safetensors",
): { source: string; tensors: Map<string, WeightSource> } {
  return { source: name, tensors: new Map(Object.entries(tensors)) };
}

class Layer extends Module {
  readonly proj = new Linear(2, 3);
}

class Model extends Module {
  readonly layers = new ModuleList([new Layer(), new Layer()]);
  override get ignoredKeys(): readonly RegExp[] {
    return [/^layers\.\d+\.inv_freq$/];
  }
  override cureFor(key: string): string | undefined {
    return key.endsWith(".bias") ? "Build with bias: false." : undefined;
  }
}

class Tied extends Module {
  readonly embed = new Embedding(5, 2);
  readonly head = new Linear(2, 5, { bias: false, weight: this.embed.weight });
}

const whole = {
  "layers.0.proj.weight": source([3, 2]),
  "layers.0.proj.bias": source([3]),
  "layers.1.proj.weight": source([3, 2]),
  "layers.1.proj.bias": source([3]),
};

function sources(module: Module): Record<string, WeightSource | null> {
  return Object.fromEntries([...module.namedParameters()].map(([path, parameter]) => [path, parameter.source]));
}

test("binds every parameter, reads none, and labels them with their place in the file", () => {
  const model = new Model();
  loadStateDict(model, file(whole));
  expect(sources(model)).toEqual(whole);
  expect([...model.namedParameters()].map(([, parameter]) => parameter.label)).toEqual(Object.keys(whole));
  loadStateDict(model, file(whole));
  expect(sources(model)).toEqual(whole);
});

test("prefix, rename, ignore and transform", () => {
  const model = new Model();
  const published = Object.fromEntries(Object.entries(whole).map(([key, value]) => [`old.${key.replace("proj", "linear")}`, value]));
  const extra = {
    "old.layers.0.inv_freq": source([1]),
    "old.scratch": source([1]),
    "vision.weight": source([9]),
    "old.dropped": source([2]),
  };
  const [tall, short] = [source([4, 2]), source([3, 2])];
  loadStateDict(model, file({ ...published, ...extra, "old.layers.0.linear.weight": tall }), {
    prefix: "model",
    rename: (key) => (key === "old.dropped" ? null : key.replace("old.", "model.").replace("linear", "proj")),
    ignore: [/^scratch$/],
    transform: (key, tensor) => (key === "layers.0.proj.weight" && tensor === tall ? short : tensor),
  });
  expect(sources(model)).toEqual({ ...whole, "layers.0.proj.weight": short });
});

test("everything that is wrong stands in one error, with its cure, and nothing is loaded", () => {
  const model = new Model();
  const broken = file({
    "layers.0.proj.weight": source([2, 3]),
    "layers.1.proj.weight": source([3, 2], "int64"),
    "layers.2.proj.weight": source([3, 2]),
    "layers.3.proj.weight": source([3, 2]),
    extra: source([1]),
  });
  const error = thrown(() => loadStateDict(model, broken));
  expect(error.message).toMatchInlineSnapshot(`
    "Model ← model.safetensors: 2 missing, 3 unexpected, 2 mismatched of 5 keys; nothing was loaded
      missing     layers.*.proj.bias (2 keys)  not in the file. Build with bias: false.
      unexpected  layers.*.proj.weight (2 keys)  the module has no such key.
      unexpected  extra  the module has no such key.
      mismatch    layers.0.proj.weight  module [3, 2], file [2, 3].
      mismatch    layers.1.proj.weight  module [3, 2], file int64 [3, 2]."
  `);
  expect(error).toMatchObject({
    code: "state_dict",
    module: "Model",
    source: "model.safetensors",
    missing: ["layers.0.proj.bias", "layers.1.proj.bias"],
    unexpected: ["layers.2.proj.weight", "layers.3.proj.weight", "extra"],
    mismatched: [
      { key: "layers.0.proj.weight", expected: { dtype: "float32", shape: [3, 2] }, got: { dtype: "float32", shape: [2, 3] } },
      { key: "layers.1.proj.weight", expected: { dtype: "float32", shape: [3, 2] }, got: { dtype: "int64", shape: [3, 2] } },
    ],
  });
  expect(Object.values(sources(model))).toEqual([null, null, null, null]);
});

test("a failed load leaves what was loaded before", () => {
  const model = new Model();
  loadStateDict(model, file(whole));
  expect(() => loadStateDict(model, file({ ...whole, extra: source([1]) }))).toThrow(StateDictError);
  expect(sources(model)).toEqual(whole);
});

test("says which prefix or rename would do", () => {
  const longer = file(Object.fromEntries(Object.entries(whole).map(([key, value]) => [`model.language.${key}`, value])));
  expect(thrown(() => loadStateDict(new Model(), longer)).message).toMatchInlineSnapshot(`
    "Model ← model.safetensors: 4 missing, 4 unexpected of 4 keys; nothing was loaded
      missing     layers.*.proj.weight (2 keys)  not in the file. The file has model.language.layers.0.proj.weight: pass prefix: "model.language".
      missing     layers.*.proj.bias (2 keys)  not in the file. The file has model.language.layers.0.proj.bias: pass prefix: "model.language".
      unexpected  model.language.layers.*.proj.weight (2 keys)  the module has no such key.
      unexpected  model.language.layers.*.proj.bias (2 keys)  the module has no such key. Build with bias: false."
  `);
  const wrapped = new (class Wrapper extends Module {
    readonly model = new Model();
  })();
  expect(thrown(() => loadStateDict(wrapped, file(whole))).message).toMatchInlineSnapshot(`
    "Wrapper ← model.safetensors: 4 missing, 4 unexpected of 4 keys; nothing was loaded
      missing     model.layers.*.proj.weight (2 keys)  not in the file. The file has layers.0.proj.weight: pass a rename that puts "model." in front.
      missing     model.layers.*.proj.bias (2 keys)  not in the file. The file has layers.0.proj.bias: pass a rename that puts "model." in front.
      unexpected  layers.*.proj.weight (2 keys)  the module has no such key.
      unexpected  layers.*.proj.bias (2 keys)  the module has no such key."
  `);
});

test("long lists are grouped, and cut off with a count", () => {
  const keys = Array.from({ length: 40 }, (_, i) => [`part${i}.weight`, source([1])] as const);
  const many = file({ ...whole, ...Object.fromEntries(keys) });
  const error = thrown(() => loadStateDict(new Model(), many));
  expect(error.unexpected).toHaveLength(40);
  expect(error.message.split("\n")).toHaveLength(26);
  expect(error.message).toMatch(/… and 16 more kinds of keys/);
});

test("16-bit and 64-bit floats fit a float32 parameter", () => {
  for (const dtype of ["float16", "bfloat16", "float64"] as const) {
    const tied = new Tied();
    loadStateDict(tied, file({ "embed.weight": source([5, 2], dtype) }));
    expect(tied.head.weight.source?.dtype).toBe(dtype);
  }
});

test("a tied parameter may stand under any of its names, but under one only", () => {
  const tied = new Tied();
  loadStateDict(tied, file({ "head.weight": source([5, 2]) }));
  expect(tied.embed.weight.source?.shape).toEqual([5, 2]);
  const both = file({ "head.weight": source([5, 2]), "embed.weight": source([5, 2]) });
  expect(thrown(() => loadStateDict(new Tied(), both)).message).toMatchInlineSnapshot(`
    "Tied ← model.safetensors: 1 ambiguous of 2 keys; nothing was loaded
      ambiguous   embed.weight  the file has it as head.weight and as embed.weight."
  `);
});

test("a misspelt option is an error", () => {
  expect(() => loadStateDict(new Model(), file(whole), { strict: false } as object)).toThrow(/loadStateDict: strict: is not an option/);
});

function thrown(run: () => void): StateDictError {
  try {
    run();
  } catch (error) {
    if (error instanceof StateDictError) return error;
    throw error;
  }
  throw new Error("Nothing was thrown.");
}
