import { input } from "@waggle/graph";
import { describe, expect, test } from "vitest";
import { runGraph } from "../../../testing/run-graph.ts";
import { expectClose, float32 } from "../../../testing/tensors.ts";
import {
  addLora,
  ConfigError,
  Embedding,
  initialize,
  Linear,
  LoraLinear,
  type LoraOptions,
  Module,
  ModuleList,
  Sequential,
} from "./index.ts";

class Layer extends Module {
  readonly q_proj = new Linear(6, 6);
  readonly up_proj = new Linear(6, 10, { bias: false });
}

class Model extends Module {
  readonly embed_tokens = new Embedding(9, 6);
  readonly layers = new ModuleList([new Layer(), new Layer()]);
  readonly lm_head = new Linear(6, 9, { bias: false, weight: this.embed_tokens.weight });
}

const shape = { r: 2, lora_alpha: 4 } as const;
const add = (options: Partial<LoraOptions>) => [...addLora(new Model(), { target_modules: ["q_proj"], ...shape, ...options }).keys()];

describe("targets are chosen as PEFT chooses them", () => {
  test.each([
    [["q_proj"], ["layers.0.q_proj", "layers.1.q_proj"]],
    [
      ["layers.1.q_proj", "lm_head"],
      ["layers.1.q_proj", "lm_head"],
    ],
    [["0.q_proj"], ["layers.0.q_proj"]],
    [".*\\.(q|up)_proj", ["layers.0.q_proj", "layers.0.up_proj", "layers.1.q_proj", "layers.1.up_proj"]],
    ["layers.1.*|lm_head", ["layers.1.q_proj", "layers.1.up_proj", "lm_head"]],
  ])("%o", (target_modules, expected) => expect(add({ target_modules })).toEqual(expected));
});

test("keys: the base's stay, the pair's come beside them", () => {
  const model = new Model();
  const before = [...model.namedParameters()];
  addLora(model, { target_modules: ["q_proj"], ...shape });
  const after = new Map(model.namedParameters());
  for (const [path, parameter] of before) expect(after.get(path)).toBe(parameter);
  const added = [...after].filter(([path]) => path.includes("lora_")).map(([path, parameter]) => [path, parameter.shape]);
  expect(added).toEqual([
    ["layers.0.q_proj.lora_A.weight", [2, 6]],
    ["layers.0.q_proj.lora_B.weight", [6, 2]],
    ["layers.1.q_proj.lora_A.weight", [2, 6]],
    ["layers.1.q_proj.lora_B.weight", [6, 2]],
  ]);
});

describe("first values", () => {
  const valuesOf = async (seed: number, path: string): Promise<Float32Array> => {
    const model = new Sequential(new Linear(400, 300), new Linear(300, 400));
    addLora(model, { target_modules: ["0", "1"], r: 100, lora_alpha: 1, seed });
    const bytes = await new Map(model.namedParameters()).get(path)?.source?.read();
    return new Float32Array((bytes as Uint8Array).slice().buffer);
  };

  test("A spreads as torch's kaiming_uniform_(a=√5) does, B is zero", async () => {
    const A = await valuesOf(0, "0.lora_A.weight");
    expect(A.length).toBe(100 * 400);
    expect(Math.max(...A)).toBeLessThan(1 / 20);
    expect(Math.max(...A)).toBeGreaterThan(0.999 / 20);
    const variance = A.reduce((sum, a) => sum + a * a, 0) / A.length;
    expect(Math.abs(variance / (1 / 400 / 3) - 1)).toBeLessThan(0.02); // (1/√400)² / 3
    expect((await valuesOf(0, "0.lora_B.weight")).every((b) => b === 0)).toBe(true);
  });

  test("the seed chooses them, each layer has its own", async () => {
    expect(await valuesOf(5, "0.lora_A.weight")).toEqual(await valuesOf(5, "0.lora_A.weight"));
    expect(await valuesOf(5, "0.lora_A.weight")).not.toEqual(await valuesOf(6, "0.lora_A.weight"));
    expect((await valuesOf(5, "0.lora_A.weight")).slice(0, 300)).not.toEqual((await valuesOf(5, "1.lora_A.weight")).slice(0, 300));
  });
});

test("one layer in two places gets one pair; a shared weight is updated in the targeted layer only", async () => {
  const shared = new Linear(4, 4);
  const net = new Sequential(shared, shared);
  expect([...addLora(net, { target_modules: ["0"], ...shape }).keys()]).toEqual(["0"]);
  const [[, first] = [], [, second] = []] = [...net.namedChildren()];
  expect(first).toBeInstanceOf(LoraLinear);
  expect(second).toBe(first);

  const model = new Model();
  initialize(model, { seed: 3 });
  addLora(model, { target_modules: ["lm_head"], ...shape });
  expect(model.lm_head.weight).toBe(model.embed_tokens.weight);
  expect([...model.namedParameters()].map(([path]) => path)).toContain("lm_head.lora_A.weight");
});

test("a new pair changes nothing, bit by bit", async () => {
  const plain = new Model();
  const tuned = new Model();
  for (const model of [plain, tuned]) initialize(model, { seed: 3 });
  addLora(tuned, { target_modules: ["q_proj"], ...shape });
  const x = input("x", "float32", [2, 6]);
  const outputs = { y: tuned.layers.at(0)?.q_proj.forward(x) ?? x, z: plain.layers.at(0)?.q_proj.forward(x) ?? x };
  const { y, z } = await runGraph({ inputs: { x }, outputs }, { x: float32([1, 2, 3, 4, 5, 6, -1, -2, -3, -4, -5, -6], [2, 6]) });
  expectClose(y, z, { abs: 0, rel: 0 });
});

describe("mistakes", () => {
  test("everything that is wrong in one error, near names with it", () => {
    const wrong = () => add({ target_modules: ["q_porj", "embed_tokens", "dense_h_to_4h"], r: 0, lora_alpha: Number.NaN, lora_dropout: 1 });
    expect(wrong).toThrow(ConfigError);
    expect(wrong).toThrowErrorMatchingInlineSnapshot(`
      [ConfigError: addLora: r: expected an integer ≥ 1, got 0.
        lora_alpha: expected a number > 0, got NaN.
        lora_dropout: expected 0 ≤ p < 1, got 1.
        target_modules[0]: q_porj names no Linear. Near it: q_proj.
        target_modules[1]: embed_tokens names embed_tokens (Embedding); a pair stands beside a Linear.
        target_modules[2]: dense_h_to_4h names no Linear. There are: q_proj, up_proj, lm_head.]
    `);
  });

  test.each([
    ["q_proj", 'a regular expression for whole paths, as layers.0.q_proj. Write .*q_proj, or a list: ["q_proj"].'],
    ["(", "( is no regular expression."],
    [[], "target_modules: expected at least one layer."],
  ])("%s", (target_modules, message) => expect(() => add({ target_modules })).toThrow(message));

  test("an option that nobody reads", () => {
    expect(() => add({ alpha: 3 } as never)).toThrow("alpha: is not an option.");
  });

  test("another pair beside one", () => {
    const model = new Model();
    addLora(model, { target_modules: ["q_proj"], ...shape });
    const kept = model.layers.at(0)?.q_proj;
    expect(addLora(model, { target_modules: ".*", ...shape }).get("layers.0.q_proj")).toBe(kept);
    expect(model.layers.at(0)?.q_proj).toBe(kept);
    expect(() => addLora(model, { target_modules: ["q_proj"], ...shape, r: 3 })).toThrow(
      "layers.1.q_proj has a LoRA pair of other numbers",
    );
  });
});
