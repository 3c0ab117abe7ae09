/**
 * A model as portable ONNX graphs, in the files and names that the ONNX community uses for vision-language models:
 *
 *     vision_encoder.onnx         pixel_values [B, 3, H, W] → image_features [B·T, D]   vision encoder and projector
 *     embed_tokens.onnx           input_ids → inputs_embeds
 *     decoder_model_merged.onnx   inputs_embeds, attention_mask, position_ids, past_key_values.* → logits, present.*
 *
 * Each has its weights in `….onnx_data` beside it. A language model alone has no vision_encoder.
 */
import { join } from "node:path";
import { makeFolder } from "@waggle/checkpoint";
import { type GraphDefinition, writeOnnx } from "@waggle/graph";
import { exportedDecoder, exportedEmbedding } from "@waggle/language";
import { assemble } from "./load.ts";
import type { LoadOptions } from "./load-options.ts";

/** Writes the graphs into `folder`, which is made if missing, and returns the files. Standard operators only. */
export async function exportOnnx(id: string, folder: string, options: LoadOptions = {}): Promise<readonly string[]> {
  const { signal, onProgress } = options;
  const { language, sight } = await assemble(id, options);
  const graphs: [string, GraphDefinition][] = [
    ["embed_tokens", exportedEmbedding(language)],
    ["decoder_model_merged", exportedDecoder(language)],
  ];
  if (sight !== null) {
    const graph = sight.graph();
    const { features, ...others } = graph.outputs;
    graphs.unshift(["vision_encoder", { ...graph, outputs: { ...(features && { image_features: features }), ...others } }]);
  }
  await makeFolder(folder);
  const files: string[] = [];
  for (const [name, graph] of graphs) {
    const path = join(folder, `${name}.onnx`);
    await writeOnnx(graph, path, { ...(signal && { signal }), ...(onProgress && { onProgress }) });
    files.push(path);
  }
  return files;
}
