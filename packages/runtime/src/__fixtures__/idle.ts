/** Uses a runtime and ends without disposing it: the process has to end all the same. */
import { input, ops } from "@waggle/graph";
import { Tensor } from "onnxruntime-common";
import { Runtime } from "../index.ts";

const runtime = new Runtime({ threads: 2 });
const x = input("x", "float32", [2]);
const session = await runtime.compile({ inputs: { x }, outputs: { y: ops.mul(x, 3) } });
const { y } = await session.run({ x: new Tensor("float32", Float32Array.of(1, 2), [2]) });
process.stdout.write([...y.data].join(" "));
