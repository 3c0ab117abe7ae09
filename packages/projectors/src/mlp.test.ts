import { openCheckpoint, openSafetensors } from "@waggle/checkpoint";
import { input, symbol } from "@waggle/graph";
import { type ActivationName, loadStateDict, StateDictError } from "@waggle/nn";
import { describe, expect, test } from "vitest";
import { runGraph } from "../../../testing/run-graph.ts";
import { expectClose, float32, floats, need, readTensors } from "../../../testing/tensors.ts";
import { identity, linear, mlp, originalMlpKey, type Projector } from "./index.ts";

const grid = { rows: 4, columns: 4 };
const vectorFile = new URL("__vectors__/mlp.safetensors", import.meta.url);
const golden = new URL("../../../golden/llava-tiny-hf/", import.meta.url).pathname;

async function run(projector: Projector, features: ReturnType<typeof need>, target: "onnxruntime" | "portable") {
  const x = input("features", "float32", [symbol("B"), symbol("N"), projector.vision_hidden_size]);
  const { tokens } = await runGraph({ inputs: { features: x }, outputs: { tokens: projector.forward(x) } }, { features }, target);
  return tokens;
}

describe.each(["onnxruntime", "portable"] as const)("%s", (target) => {
  test("llava-tiny-hf: the projected features of every picture", async () => {
    const io = await readTensors(`${golden}io.safetensors`);
    const projector = mlp()(32, 64, grid);
    loadStateDict(projector, await openCheckpoint(golden), { prefix: "multi_modal_projector" });
    for (const picture of ["scene.png", "alpha.png", "gray.jpg", "exif.jpg", "deep.png"]) {
      const patches = floats(need(io, `output.vision_hidden_state.${picture}`)).slice(32); // the class token's row is dropped
      const tokens = await run(projector, float32(patches, [1, 16, 32]), target);
      expectClose(tokens, io[`output.projector.${picture}`], { abs: 2e-5, rel: 1e-4 });
    }
  });

  test.each([
    ["hub-gelu", mlp()],
    ["hub-silu-no-bias", mlp({ act: "silu", bias: false })],
    ["original-linear", linear()],
    ["original-mlp2x", mlp({ depth: 2 })],
    ["original-mlp3x", mlp({ depth: 3, act: "gelu" })],
  ])("%s is PyTorch's", async (name, factory) => {
    const io = await readTensors(vectorFile);
    const projector = factory(10, 16, grid);
    const rename = (key: string): string | null => {
      if (!key.startsWith(`state.${name}.`)) return null;
      const own = key.slice(`state.${name}.`.length);
      return name.startsWith("original") ? originalMlpKey(`model.mm_projector.${own}`) : own;
    };
    loadStateDict(projector, await openSafetensors(vectorFile.pathname), { rename });
    expectClose(await run(projector, need(io, "input.x"), target), io[`output.${name}`]);
  });
});

test("keys are the hub's", () => {
  const keys = (projector: Projector): string[] => [...projector.namedParameters()].map(([path, { shape }]) => `${path} [${shape}]`);
  expect(keys(mlp()(3, 5, grid))).toEqual(["linear_1.weight [5,3]", "linear_1.bias [5]", "linear_2.weight [5,5]", "linear_2.bias [5]"]);
  expect(keys(mlp({ depth: 3, bias: false })(3, 5, grid))).toEqual([
    "linear_1.weight [5,3]",
    "linear_2.weight [5,5]",
    "linear_3.weight [5,5]",
  ]);
  expect(keys(linear({ bias: false })(3, 5, grid))).toEqual(["linear_1.weight [5,3]"]);
});

test("the original code's keys, wherever their prefix comes from", () => {
  expect(
    ["model.mm_projector.weight", "mm_projector.bias", "model.mm_projector.0.weight", "base_model.model.model.mm_projector.4.bias"].map(
      originalMlpKey,
    ),
  ).toEqual(["linear_1.weight", "linear_1.bias", "linear_1.weight", "linear_3.bias"]);
  expect(["model.layers.0.mlp.up_proj.weight", "model.mm_projector_old.0.weight"].map(originalMlpKey)).toEqual([null, null]);
});

test("a layer where the activation should be does not pass unnoticed", () => {
  const entry = (shape: readonly number[]) => ({ dtype: "float32" as const, shape, fingerprint: "", read: async () => new Uint8Array() });
  const tensors = new Map([
    ["mm_projector.0.weight", entry([5, 3])],
    ["mm_projector.1.weight", entry([5, 5])],
  ]);
  expect(() =>
    loadStateDict(mlp({ bias: false })(3, 5, grid), { source: "mm_projector.bin", tensors }, { rename: originalMlpKey }),
  ).toThrow(StateDictError);
});

test("one token per patch", () => {
  expect([1, 16, 577].map((patches) => mlp()(3, 5, grid).tokenCount(patches))).toEqual([1, 16, 577]);
});

test("mistakes", () => {
  for (const depth of [0, -1, 1.5, Number.NaN, 65])
    expect(() => mlp({ depth })).toThrow(/mlp: depth: expected a whole number from 1 to 64/);
  expect(() => mlp({ act: "gelus" as ActivationName })).toThrow(/no activation is called "gelus"/);
  expect(() => mlp({ layers: 2 } as object)).toThrowErrorMatchingInlineSnapshot(
    `[ConfigError: mlp: layers: is not an option. There are: depth, act, bias.]`,
  );
  expect(() => mlp()(32, 64, grid).forward(input("x", "float32", [1, 4, 31]))).toThrowErrorMatchingInlineSnapshot(
    `[ShapeError: MlpProjector: expected features of width 32, got 31. Build it for the vision encoder's hidden_size.]`,
  );
});

describe("identity", () => {
  test("hands features on as they are", async () => {
    const projector = identity()(6, 6, grid);
    const x = input("features", "float32", [symbol("B"), symbol("N"), 6]);
    const features = float32(
      Array.from({ length: 24 }, (_, i) => i),
      [2, 2, 6],
    );
    const { tokens } = await runGraph({ inputs: { features: x }, outputs: { tokens: projector.forward(x) } }, { features });
    expectClose(tokens, features, { abs: 0, rel: 0 });
    expect([projector.tokenCount(16), projector.parameterCount()]).toEqual([16, 0]);
  });

  test("refuses widths that differ", () => {
    expect(() => identity()(6, 8, grid)).toThrow("vision_hidden_size: expected 8, the width of the language model, got 6");
  });
});
