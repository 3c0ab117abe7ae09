import { input } from "@waggle/graph";
import { describe, expect, test } from "vitest";
import { compileGraph } from "../../../testing/run-graph.ts";
import { expectClose, float32, need, readTensors } from "../../../testing/tensors.ts";
import { type ActivationName, activation, activationNames } from "./index.ts";

const vectors = await readTensors(new URL("__vectors__/activations.safetensors", import.meta.url));

describe.each(["onnxruntime", "portable"] as const)("%s", (target) => {
  test("every activation is transformers'", async () => {
    const x = input("x", "float32", [1, 101]);
    const outputs = Object.fromEntries(activationNames.map((name) => [`out_${name}`, activation(name)(x)]));
    const run = await compileGraph({ inputs: { x }, outputs }, target);
    const results = await run({ x: need(vectors, "input.x") });
    for (const name of activationNames) expectClose(results[`out_${name}`], vectors[`output.${name}`]);
  });
});

test("the numbers of the papers", async () => {
  const x = input("x", "float32", [4]);
  const outputs = { quick: activation("quick_gelu")(x), gelu_: activation("gelu")(x), swish: activation("swish")(x) };
  const { quick, gelu_, swish } = await (await compileGraph({ inputs: { x }, outputs }))({ x: float32([-1, 0.5, 1, 2], [4]) });
  expectClose(quick, float32([-0.1542042, 0.3503884, 0.8457958, 1.9356586], [4]));
  expectClose(gelu_, float32([-0.1586553, 0.3457312, 0.8413447, 1.9544997], [4]));
  expectClose(swish, float32([-0.2689414, 0.3112297, 0.7310586, 1.7615942], [4]));
});

test("names what there is when a name is unknown", () => {
  expect(() => activation("geluu" as ActivationName)).toThrowErrorMatchingInlineSnapshot(
    `[ConfigError: activation: no activation is called "geluu". There are: gelu, gelu_10, gelu_accurate, gelu_fast, gelu_new, gelu_python, gelu_python_tanh, gelu_pytorch_tanh, hardswish, laplace, leaky_relu, linear, mish, quick_gelu, relu, relu2, relu6, sigmoid, silu, swish, tanh.]`,
  );
  expect(() => activation("toString" as ActivationName)).toThrow(/no activation is called "toString"/);
});
