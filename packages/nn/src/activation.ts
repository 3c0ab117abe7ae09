/**
 * Activation functions by the names that `hidden_act` of a config.json uses: those of transformers that need no parameters
 * of their own (not prelu, xielu) and that float32 can compute from standard operators (not sqrtsoftplus).
 */
import { ops, type Value } from "@waggle/graph";
import { ConfigError } from "./config-error.ts";

export const activationNames = [
  "gelu",
  "gelu_10",
  "gelu_accurate",
  "gelu_fast",
  "gelu_new",
  "gelu_python",
  "gelu_python_tanh",
  "gelu_pytorch_tanh",
  "hardswish",
  "laplace",
  "leaky_relu",
  "linear",
  "mish",
  "quick_gelu",
  "relu",
  "relu2",
  "relu6",
  "sigmoid",
  "silu",
  "swish",
  "tanh",
] as const;

export type ActivationName = (typeof activationNames)[number];

const softplus = (x: Value): Value => ops.add(ops.relu(x), ops.log(ops.add(ops.exp(ops.neg(ops.abs(x))), 1)));

const activations: { readonly [Name in ActivationName]: (x: Value) => Value } = {
  gelu: ops.gelu,
  gelu_10: (x) => ops.clip(ops.gelu(x), { min: -10, max: 10 }),
  gelu_accurate: ops.geluTanh,
  gelu_fast: ops.geluTanh,
  gelu_new: ops.geluTanh,
  gelu_python: ops.gelu,
  gelu_python_tanh: ops.geluTanh,
  gelu_pytorch_tanh: ops.geluTanh,
  hardswish: (x) => ops.mul(x, ops.clip(ops.add(ops.div(x, 6), 0.5), { min: 0, max: 1 })),
  laplace: (x) => ops.mul(ops.add(ops.erf(ops.div(ops.sub(x, Math.SQRT1_2), 0.282095 * Math.SQRT2)), 1), 0.5),
  leaky_relu: (x) => ops.maximum(x, ops.mul(x, 0.01)),
  linear: (x) => x,
  mish: (x) => ops.mul(x, ops.tanh(softplus(x))),
  quick_gelu: ops.quickGelu,
  relu: ops.relu,
  relu2: (x) => ops.pow(ops.relu(x), 2),
  relu6: (x) => ops.clip(x, { min: 0, max: 6 }),
  sigmoid: ops.sigmoid,
  silu: ops.silu,
  swish: ops.silu,
  tanh: ops.tanh,
};

/** The function behind a `hidden_act` name. */
export function activation(name: ActivationName): (x: Value) => Value {
  if (!Object.hasOwn(activations, name)) {
    throw new ConfigError("activation", [
      { field: "", message: `no activation is called "${name}". There are: ${activationNames.join(", ")}.` },
    ]);
  }
  return activations[name];
}
