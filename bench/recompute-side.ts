// One side of bench/recompute.ts, in a process of its own: forward and backward of 12 transformer layers, with every
// activation kept ("keep") or each layer's computed again ("recompute"), on so many samples. Prints one line of JSON.
import { constant, grad, input, lower, ops, recompute, serialize, type Value } from "@waggle/graph";
import { InferenceSession, Tensor } from "onnxruntime-node";

const [side, samples] = process.argv.slice(2);
const [B, S, D, H, LAYERS] = [Number(samples), 256, 256, 4, 12];
const parameters: Value[] = [];
const parameter = (...shape: number[]): Value => {
  const value = input(`p${parameters.length}`, "float32", shape);
  parameters.push(value);
  return value;
};
const heads = (x: Value): Value => ops.transpose(ops.reshape(x, [B, S, H, D / H]), [0, 2, 1, 3]);

/** A pre-norm layer with its own weights. */
function layer(): (x: Value) => Value {
  const [scale1, scale2] = [parameter(D), parameter(D)];
  const [q, k, v, o] = [parameter(D, D), parameter(D, D), parameter(D, D), parameter(D, D)];
  const [up, down] = [parameter(4 * D, D), parameter(D, 4 * D)];
  return (x) => {
    const normed = ops.rmsNorm(x, scale1, { epsilon: 1e-6 });
    const [queries, keys, values] = [q, k, v].map((weight) => heads(ops.linear(normed, weight))) as [Value, Value, Value];
    const seen = ops.reshape(ops.transpose(ops.attention(queries, keys, values, { causal: true }), [0, 2, 1, 3]), [B, S, D]);
    const attended = ops.add(x, ops.linear(seen, o));
    return ops.add(attended, ops.linear(ops.gelu(ops.linear(ops.rmsNorm(attended, scale2, { epsilon: 1e-6 }), up)), down));
  };
}

const x = input("x", "float32", [B, S, D]);
let hidden: Value = x;
for (let i = 0; i < LAYERS; i++) {
  const forward = layer();
  hidden = side === "recompute" ? recompute([hidden], forward) : forward(hidden);
}
const loss = ops.reduceMean(ops.mul(hidden, constant(Float32Array.from({ length: D }, (_, i) => Math.cos(i)))));
const gradients = grad(loss, parameters);
const inputs = { x, ...Object.fromEntries(parameters.map((value, i) => [`p${i}`, value])) };
const outputs = { loss, ...Object.fromEntries(gradients.map((value, i) => [`g${i}`, value])) };
const session = await InferenceSession.create(
  serialize(lower({ inputs, outputs }, "onnxruntime"), () => new Uint8Array()),
  {
    intraOpNumThreads: 2,
    enableCpuMemArena: false, // as training has it
    enableMemPattern: false,
  },
);
const feeds = Object.fromEntries(
  Object.entries(inputs).map(([name, { shape }], n) => {
    const length = shape.reduce<number>((product, size) => product * Number(size), 1);
    const data = Float32Array.from({ length }, (_, i) => (shape.length === 1 ? 1 : Math.sin(i * 12.9898 + n) * (name === "x" ? 1 : 0.05)));
    return [name, new Tensor("float32", data, shape.map(Number))];
  }),
);
const before = process.memoryUsage.rss();
const start = performance.now();
const result = await session.run(feeds);
const milliseconds = performance.now() - start;
const norms = Object.values(result).map(({ data }) => Math.sqrt((data as Float32Array).reduce((sum, value) => sum + value * value, 0)));
const peak = process.resourceUsage().maxRSS * 1024 - before;
process.stdout.write(`${JSON.stringify({ side, peak, milliseconds, norms })}\n`);
