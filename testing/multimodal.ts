/** A composition's numbers from pixels to logits, with weights of any type. */
import { WeightCache } from "@waggle/checkpoint";
import { constant, type GraphDefinition, input, ops, symbol } from "@waggle/graph";
import { causalCache, type LanguageModel } from "@waggle/language";
import { placeWeights, type Runtime } from "@waggle/runtime";
import type { Tensor } from "onnxruntime-node";
import type { Feeds, Results } from "./run-graph.ts";
import { int64 } from "./tensors.ts";

/** A graph as a function of its inputs; weights that are not float32 are converted into `folder`. */
export async function compileConverted(
  runtime: Runtime,
  graph: GraphDefinition,
  folder: string,
): Promise<(feeds: Feeds) => Promise<Results>> {
  const cache = new WeightCache({ folder });
  const weights = placeWeights({
    convert: (requests) => cache.get(requests.map(({ name, source }) => ({ name, source, dtype: "float32" }))),
  });
  const session = await runtime.compile(graph, { weights });
  return async (feeds) => (await session.run(feeds)) as Results;
}

/** input_ids [1, S], a picture's positions below 0, and features [F, D] → merged embeddings [1, S, D] and logits [1, S, V]. */
export function promptGraph(language: LanguageModel): GraphDefinition {
  const [S, F] = [symbol("S"), symbol("F")];
  const input_ids = input("input_ids", "int64", [1, S]);
  const feature_rows = input("feature_rows", "int64", [1, S]);
  const features = input("features", "float32", [F, language.hidden_size]);
  const seen = ops.greaterOrEqual(feature_rows, 0);
  const embedded = language.embed(ops.where(seen, constant(0n), input_ids));
  const inputs_embeds = ops.where(ops.unsqueeze(seen, 2), ops.gather(features, ops.maximum(feature_rows, 0), 0), embedded);
  const logits = language.forward(inputs_embeds, causalCache());
  return { inputs: { input_ids, feature_rows, features }, outputs: { inputs_embeds, logits } };
}

/** Ids of a prompt, and the rows of the features that stand at `pictureId`, in order. */
export function promptFeeds(ids: readonly number[], pictureId: number, rows: readonly number[]): { readonly [name: string]: Tensor } {
  const left = [...rows];
  const feature_rows = ids.map((id) => (id === pictureId ? (left.shift() ?? Number.NaN) : -1));
  return { input_ids: int64(ids, [1, ids.length]), feature_rows: int64(feature_rows, [1, ids.length]) };
}
