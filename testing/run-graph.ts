import { type GraphDefinition, lower, serialize, type Target, type Weight } from "@waggle/graph";
import { InferenceSession, type Tensor } from "onnxruntime-node";

export type Feeds = Readonly<Record<string, Tensor>>;
export type Results = Readonly<Record<string, Tensor>>;

/** A graph as a function of its inputs, with the weights that its parameters are bound to. */
export async function compileGraph(graph: GraphDefinition, target: Target = "onnxruntime"): Promise<(feeds: Feeds) => Promise<Results>> {
  const lowered = lower(graph, target);
  const bytes = new Map<Weight, Uint8Array>();
  for (const { name, weight } of lowered.weights) {
    if (weight.source === null) throw new Error(`${name} has no source: load or initialise the module first.`);
    bytes.set(weight, await weight.source.read());
  }
  const model = serialize(lowered, (weight) => bytes.get(weight) ?? new Uint8Array());
  const session = await InferenceSession.create(model);
  return async (feeds) => (await session.run(feeds)) as Results;
}

export async function runGraph(graph: GraphDefinition, feeds: Feeds, target?: Target): Promise<Results> {
  return (await compileGraph(graph, target))(feeds);
}
