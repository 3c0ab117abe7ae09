/**
 * Which questions a model answers letter by letter, without generating a token. Behind the right answer's first tokens,
 * does the model choose the next one, up to the token that ends the answer? If it does at every place, greedy decoding
 * writes the right answer; if it does not, greedy decoding leaves it there. So one pass over all answer tokens of a batch
 * decides, over features that are computed once.
 */
import type { Dataset } from "@waggle/data";
import { ops } from "@waggle/graph";
import { type Assembly, weightPlacer } from "@waggle/mllm";
import { ConfigError } from "@waggle/nn";
import { Runtime } from "@waggle/runtime";
import { conversations, type MicroBatch } from "@waggle/train";
import type { Tensor } from "onnxruntime-common";

export interface ExactMatchOptions {
  /** Where features of the frozen encoder are kept; shared with `train`. */
  readonly featureCache: string;
  /** Default 32. */
  readonly batchSize?: number;
  readonly threads?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A digit for each sample of `data`, whose conversations have one answer each: 1 where it is the model's own. */
export async function exactMatches(model: Assembly, data: Dataset, options: ExactMatchOptions): Promise<string> {
  const { featureCache, batchSize = 32, threads, signal } = options;
  const modules = model.composition?.modules;
  if (modules === undefined) throw new ConfigError("exactMatches", [{ field: "model", message: "expected one that takes pictures." }]);
  using runtime = new Runtime({ ...(threads !== undefined && { threads }) });
  const chosen = conversations(data, { loss: (logits) => ops.argMax(logits, -1) }); // [M], in the place of a loss
  const task = await chosen.open({ model, modules, trainable: new Map(), runtime, featureCache, signal });
  try {
    const { target_ids, ...inputs } = task.objective.inputs;
    const graph = { name: "answers", inputs, outputs: { chosen: task.objective.loss } };
    const session = await runtime.compile(graph, { weights: weightPlacer(), ...(signal && { signal }) });
    const request = { batchSize, seed: 0, order: "sequential", onBroken: "stop", epochs: 1, start: { epoch: 0, position: 0 } } as const;
    let digits = "";
    for await (const { micro } of task.batches(request)) {
      const feeds = Object.fromEntries(Object.entries(micro.feeds).filter(([name]) => name in inputs));
      const result = await session.run(feeds, signal ? { signal } : {});
      digits += digitsOf(micro, (result.chosen as Tensor).data as BigInt64Array);
    }
    return digits;
  } finally {
    task.dispose();
  }
}

/** chosen [M] against target_ids [M]; target i belongs to the sample in which its position [B·S] lies. */
function digitsOf({ feeds }: MicroBatch, chosen: BigInt64Array): string {
  const [B = 0, S = 1] = feeds.input_ids?.dims ?? [];
  const positions = feeds.target_positions?.data as BigInt64Array;
  const targets = feeds.target_ids?.data as BigInt64Array;
  const right = new Array<boolean>(B).fill(true);
  for (const [i, target] of targets.entries()) {
    if (chosen[i] !== target) right[Math.floor(Number(positions[i]) / S)] = false;
  }
  return right.map(Number).join("");
}
