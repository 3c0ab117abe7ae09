import { openSafetensors } from "@waggle/checkpoint";
import { input, type Value } from "@waggle/graph";
import { describe, expect, test } from "vitest";
import { runGraph } from "../../../testing/run-graph.ts";
import { expectClose, float32, readTensors } from "../../../testing/tensors.ts";
import { Conv2d, Embedding, type Layer, LayerNorm, Linear, loadStateDict, Parameter, RMSNorm } from "./index.ts";

const file = new URL("__vectors__/layers.safetensors", import.meta.url);
const vectors = await readTensors(file);
const checkpoint = await openSafetensors(file.pathname);

const layers: Readonly<Record<string, () => Layer>> = {
  linear: () => new Linear(6, 4),
  linear_no_bias: () => new Linear(6, 4, { bias: false }),
  embedding: () => new Embedding(11, 3),
  layer_norm: () => new LayerNorm(6, { eps: 1e-3 }),
  layer_norm_no_bias: () => new LayerNorm(6, { bias: false }),
  rms_norm: () => new RMSNorm(6, { eps: 1e-3 }),
  conv2d: () => new Conv2d(6, 4, { kernel_size: 3 }),
  conv2d_strided: () => new Conv2d(6, 4, { kernel_size: [3, 2], stride: [2, 3], padding: [1, 0], bias: false }),
  conv2d_depthwise: () => new Conv2d(6, 12, { kernel_size: 3, padding: 1, groups: 6 }),
  conv2d_same: () => new Conv2d(6, 4, { kernel_size: 3, padding: "same", dilation: 2 }),
};

describe.each(["onnxruntime", "portable"] as const)("%s", (target) => {
  test.each(Object.keys(layers))("%s is PyTorch's", async (name) => {
    const layer = layers[name]?.();
    const x = vectors[`input.${name}`];
    if (layer === undefined || x === undefined) throw new Error(name);
    loadStateDict(layer, checkpoint, { prefix: `state.${name}` });
    const value: Value = input("x", x.type as "float32", x.dims);
    const { y } = await runGraph({ inputs: { x: value }, outputs: { y: layer.forward(value) } }, { x }, target);
    expectClose(y, vectors[`output.${name}`]);
  });
});

test("norms of [1, 2, 3, 4]", async () => {
  const x = input("x", "float32", [4]);
  const norms = { rms: new RMSNorm(4, { eps: 1e-5 }), layer: new LayerNorm(4) };
  for (const norm of [norms.rms, norms.layer]) {
    const ones = (value: number) =>
      ({
        dtype: "float32",
        shape: [4],
        fingerprint: `${value}`,
        read: async () => new Uint8Array(Float32Array.of(value, value, value, value).buffer),
      }) as const;
    norm.weight.source = ones(1);
    if (norm instanceof LayerNorm && norm.bias !== null) norm.bias.source = ones(0);
  }
  const outputs = { rms: norms.rms.forward(x), layer: norms.layer.forward(x) };
  const { rms, layer } = await runGraph({ inputs: { x }, outputs }, { x: float32([1, 2, 3, 4], [4]) });
  expectClose(rms, float32([0.3651481, 0.7302963, 1.0954444, 1.4605925], [4]));
  expectClose(layer, float32([-1.3416354, -0.4472118, 0.4472118, 1.3416354], [4]));
});

test("a misspelt option is an error", () => {
  expect(() => new Linear(2, 2, { biass: false } as object)).toThrowErrorMatchingInlineSnapshot(
    `[ConfigError: Linear: biass: is not an option. There are: bias, weight, init.]`,
  );
  expect(() => new Conv2d(2, 2, { kernel_size: 3, strides: 2 } as never)).toThrow(/Conv2d: strides: is not an option/);
});

test("sizes that cannot be are refused", () => {
  expect(() => new Conv2d(6, 4, { kernel_size: 3, groups: 4 })).toThrowErrorMatchingInlineSnapshot(
    `[ConfigError: Conv2d: groups: 4 must divide 6 and 4 channels.]`,
  );
  expect(() => new Conv2d(6, 4, { kernel_size: 3, padding: "same", stride: 2 })).toThrowErrorMatchingInlineSnapshot(
    `[ConfigError: Conv2d: padding: "same" needs stride 1, got [2,2].]`,
  );
  expect(() => new Linear(6, 4, { weight: new Parameter([6, 4]) })).toThrowErrorMatchingInlineSnapshot(
    `[ConfigError: Linear: weight: expected a parameter of shape [4,6], got [6,4].]`,
  );
});
