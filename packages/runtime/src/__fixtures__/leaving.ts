/** Leaves while its session runs. */
import { input, ops, symbol } from "@waggle/graph";
import { Tensor } from "onnxruntime-common";
import { Runtime } from "../index.ts";

const N = symbol("N");
const x = input("x", "float32", [N, N]);
const y = Array.from({ length: 40 }).reduce<typeof x>((product) => ops.matmul(product, x), x);
const runtime = new Runtime({ threads: 1 });
const session = await runtime.compile({ inputs: { x }, outputs: { y } });
const stop = new AbortController();
setTimeout(() => stop.abort(new Error("enough")), 50);
try {
  await session.run({ x: new Tensor("float32", new Float32Array(1024 * 1024), [1024, 1024]) }, { signal: stop.signal });
} catch (error) {
  process.stdout.write(String(error));
}
runtime.dispose();
