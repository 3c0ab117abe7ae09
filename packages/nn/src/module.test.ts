import { input, ops, type Value } from "@waggle/graph";
import { expect, test } from "vitest";
import { runGraph } from "../../../testing/run-graph.ts";
import { expectClose, float32 } from "../../../testing/tensors.ts";
import { Embedding, initialize, Linear, Module, ModuleDict, ModuleList, Parameter, replaceModules, Sequential } from "./index.ts";

class Block extends Module {
  readonly norm = new Parameter([4]);
  readonly mlp: ModuleDict<{ fc1: Linear; fc2: Linear }> = new ModuleDict({
    fc1: new Linear(4, 8),
    fc2: new Linear(8, 4, { bias: false }),
  });
}

class Tied extends Module {
  readonly width = 4;
  readonly embed_tokens = new Embedding(10, 4);
  readonly layers = new ModuleList([new Block(), new Block()]);
  readonly optional: Linear | null = null;
  readonly lm_head = new Linear(4, 10, { bias: false, weight: this.embed_tokens.weight });
}

test("a key is a property path, a shared parameter comes once", () => {
  expect([...new Tied().namedParameters("model")].map(([path]) => path)).toEqual([
    "model.embed_tokens.weight",
    "model.layers.0.norm",
    "model.layers.0.mlp.fc1.weight",
    "model.layers.0.mlp.fc1.bias",
    "model.layers.0.mlp.fc2.weight",
    "model.layers.1.norm",
    "model.layers.1.mlp.fc1.weight",
    "model.layers.1.mlp.fc1.bias",
    "model.layers.1.mlp.fc2.weight",
  ]);
  expect([...new Tied().parameterPaths()].map(([path]) => path)).toContain("lm_head.weight");
  expect(new Tied().parameterCount()).toBe(10 * 4 + 2 * (4 + 32 + 8 + 32));
});

test("modules come with their paths, parents first", () => {
  expect([...new Tied().namedModules()].map(([path]) => path).slice(0, 5)).toEqual([
    "",
    "embed_tokens",
    "layers",
    "layers.0",
    "layers.0.mlp",
  ]);
});

test("a ModuleDict gives its modules by name, a ModuleList by number", () => {
  const { layers } = new Tied();
  expect(layers.length).toBe(2);
  expect([...layers]).toEqual([layers.at(0), layers.at(1)]);
  expect(layers.at(-1)?.mlp.fc2.in_features).toBe(8);
});

test("functions take up an index of a Sequential", async () => {
  const net = new Sequential(new Linear(2, 3), ops.relu, new Linear(3, 1));
  expect([...net.namedParameters()].map(([path]) => path)).toEqual(["0.weight", "0.bias", "2.weight", "2.bias"]);
  initialize(net, { seed: 3 });
  const x = input("x", "float32", [5, 2]);
  const steps = [...net.namedChildren()].map(([, child]) => child as Linear);
  const byHand = steps[1]?.forward(ops.relu(steps[0]?.forward(x) as Value)) as Value;
  const { y, z } = await runGraph(
    { inputs: { x }, outputs: { y: net.forward(x), z: byHand } },
    { x: float32([1, -2, 3, 4, -5, 6, 7, 8, 9, -10], [5, 2]) },
  );
  expectClose(y, z, { abs: 0, rel: 0 });
});

/** What LoRA will do: the same weight, and something added. */
class Doubled extends Linear {
  constructor(base: Linear) {
    super(base.in_features, base.out_features, { weight: base.weight, bias: base.bias ?? false });
  }
  override forward(x: Value): Value {
    return ops.mul(super.forward(x), 2);
  }
}

test("a Linear anywhere can be replaced by a subclass that shares its weights", async () => {
  const model = new Tied();
  const net = new Sequential(new Linear(4, 4), ops.tanh);
  for (const root of [model, net]) replaceModules(root, (_path, module) => (module instanceof Linear ? new Doubled(module) : module));
  expect(model.layers.at(1)?.mlp.fc1).toBeInstanceOf(Doubled);
  expect(model.lm_head).toBeInstanceOf(Doubled);
  expect([...model.namedParameters()].map(([path]) => path)).toEqual([...new Tied().namedParameters()].map(([path]) => path));
  initialize(net, { seed: 1 });
  const x = input("x", "float32", [1, 4]);
  const [[, layer] = []] = [...net.namedChildren()];
  const doubled = ops.tanh(ops.mul(ops.linear(x, (layer as Linear).weight, (layer as Linear).bias), 2));
  const { y, z } = await runGraph({ inputs: { x }, outputs: { y: net.forward(x), z: doubled } }, { x: float32([1, 2, 3, 4], [1, 4]) });
  expectClose(y, z, { abs: 0, rel: 0 });
});

test("what stands in a Linear's place must be one", () => {
  expect(() =>
    replaceModules(new Tied(), (path, module) => (path === "lm_head" ? new Block() : module)),
  ).toThrowErrorMatchingInlineSnapshot(
    `[TypeError: replaceModules: lm_head is a Linear; a Block does not extend it and cannot stand in its place.]`,
  );
});
