/**
 * A model as portable ONNX graphs, in the files and names that the ONNX community uses for vision-language models:
 *
 *     vision_encoder.onnx         pixel_values [B, 3, H, W] → image_features [B·T, D]   vision encoder and projector
 *     embed_tokens.onnx           input_ids → inputs_embeds
 *     decoder_model_merged.onnx   inputs_embeds, attention_mask, position_ids, past_key_values.* → logits, present.*
 *
 * Each has its weights in `….onnx_data` beside it. A language model alone has no vision_encoder. Where pictures are cut into
 * tiles, vision_encoder also takes token_rows [F]: which of the B·T rows are a picture's tokens, −1 for `image_newline`.
 */
import { join, resolve } from "node:path";
import { writeFolder } from "@waggle/checkpoint";
import { type GraphDefinition, writeOnnx } from "@waggle/graph";
import { exportedDecoder, exportedEmbedding } from "@waggle/language";
import { assemble } from "./load.ts";
import type { LoadOptions } from "./load-options.ts";
import type { Assembly } from "./start.ts";

/**
 * Writes the graphs into `folder`, which must be empty or not exist, and returns the `.onnx` files. All are written, or nothing.
 * Standard operators only.
 */
export async function exportOnnx(id: string, folder: string, options: LoadOptions = {}): Promise<readonly string[]> {
  const { signal, onProgress } = options;
  const target = resolve(folder);
  const graphs = portableGraphs(await assemble(id, options));
  await writeFolder(target, async (temporary) => {
    for (const [name, graph] of graphs) {
      await writeOnnx(graph, join(temporary, `${name}.onnx`), { ...(signal && { signal }), ...(onProgress && { onProgress }) });
    }
  });
  return graphs.map(([name]) => join(target, `${name}.onnx`));
}

function portableGraphs({ language, sight }: Assembly): readonly (readonly [name: string, graph: GraphDefinition])[] {
  const text = [["embed_tokens", exportedEmbedding(language)] as const, ["decoder_model_merged", exportedDecoder(language)] as const];
  if (sight === null) return text;
  const graph = sight.graph();
  const { features, ...others } = graph.outputs;
  return [["vision_encoder", { ...graph, outputs: { ...(features && { image_features: features }), ...others } }], ...text];
}
