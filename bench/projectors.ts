/**
 * Time, parameters and multiply-adds of every projector behind ViT-L/14-336: 576 patches of width 1024, tokens of width 4096.
 *
 *     npm run bench -- projectors [--steps 7] [--threads 2] [--profile]
 *
 * The projectors take turns, so that the machine's moods hit all alike; medians. `--profile` lists each one's slowest operators.
 */
import { availableParallelism } from "node:os";
import { input, type Value } from "@waggle/graph";
import { initialize } from "@waggle/nn";
import {
  cAbstractor,
  dAbstractor,
  linear,
  mlp,
  type ProjectorFactory,
  pixelShuffleProjector,
  qFormer,
  resampler,
} from "@waggle/projectors";
import { Runtime } from "@waggle/runtime";
import { Tensor } from "onnxruntime-node";
import { median, numberOption } from "./random-llama.ts";

const [C, D, grid, tokens] = [1024, 4096, { rows: 24, columns: 24 }, 144] as const;
const N = grid.rows * grid.columns;
const factories: Record<string, ProjectorFactory> = {
  linear: linear(),
  "mlp (2 layers)": mlp(),
  "pixel shuffle (s = 2)": pixelShuffleProjector({ scale_factor: 2 }),
  resampler: resampler({ tokens }),
  "q-former": qFormer({ tokens }),
  "c-abstractor": cAbstractor({ tokens }),
  "d-abstractor": dAbstractor({ tokens }),
};
const steps = numberOption("steps", 7);
const profile = process.argv.includes("--profile");
using runtime = new Runtime({ threads: numberOption("threads", availableParallelism()) });

const features = new Tensor(
  "float32",
  Float32Array.from({ length: N * C }, (_, i) => Math.sin(i)),
  [1, N, C],
);
const rows = await Promise.all(
  Object.entries(factories).map(async ([name, factory]) => {
    const projector = factory(C, D, grid);
    initialize(projector, { seed: 0 });
    const x = input("features", "float32", [1, N, C]);
    const y = projector.forward(x);
    const session = await runtime.compile({ inputs: { features: x }, outputs: { y } }, { profile });
    return {
      name,
      session,
      times: [] as number[],
      M: projector.tokenCount(N),
      parameters: projector.parameterCount(),
      work: multiplyAdds(y),
    };
  }),
);
for (let step = -1; step < steps; step++) {
  for (const { session, times } of step % 2 === 0 ? rows : rows.toReversed()) {
    const start = performance.now();
    await session.run({ features });
    if (step >= 0) times.push(performance.now() - start);
  }
}
console.log("| projector | tokens | time | parameters | multiply-adds |\n|---|---|---|---|---|");
for (const { name, times, M, parameters, work } of rows) {
  console.log(`| ${name} | ${M} | ${median(times).toFixed(1)} ms | ${(parameters / 1e6).toFixed(1)} M | ${(work / 1e9).toFixed(2)} G |`);
}
for (const { name, session } of profile ? rows : []) {
  console.log(`\n${name}`);
  for (const operator of (await session.profile()).slice(0, 8)) console.log(" ", JSON.stringify(operator));
}

/** Products and sums of the graph behind a value, for one picture: what matrix products, convolutions, attention and sampling do. */
function multiplyAdds(value: Value, seen: Set<unknown> = new Set()): number {
  const { node } = value;
  if (node === null || seen.has(node)) return 0;
  seen.add(node);
  const size = ({ shape }: Value): number => shape.reduce<number>((product, dim) => product * Number(dim), 1);
  const [a, b] = node.inputs;
  const own = ((): number => {
    switch (node.op) {
      case "Linear":
        return size(value) * Number(a?.shape.at(-1));
      case "MatMul":
        return size(value) * Number(b?.shape.at(-2));
      case "Conv":
        return (size(value) * (b === undefined ? 0 : size(b))) / Number(b?.shape[0]);
      case "Attention":
        return 2 * size(value) * Number(b?.shape[2]);
      case "GridSample":
        return 4 * size(value);
      default:
        return 0;
    }
  })();
  return node.inputs.reduce((sum, operand) => sum + multiplyAdds(operand, seen), own);
}
