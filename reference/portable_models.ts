// Writes portable graphs of whole models, randomly initialised, for reference/check_onnx.py.
// Usage: node --conditions=@waggle/source --import tsx reference/portable_models.ts FOLDER
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type GraphDefinition, grad, input, ops, symbol, writeOnnx } from "@waggle/graph";
import { causalCache, decoderGraph, llama } from "@waggle/language";
import { initialize, type Module } from "@waggle/nn";
import { mlp } from "@waggle/projectors";
import { clip } from "@waggle/vision";

const [, , folder = "."] = process.argv;
const config = JSON.parse(readFileSync(new URL("../golden/llava-tiny-hf/config.json", import.meta.url), "utf8"));
const language = llama(config.text_config);
const vision = clip(config.vision_config, { layer: -2 });
const projector = mlp({ depth: 2, act: "gelu" })(vision.hidden_size, language.hidden_size, vision.grid);
const [B, S] = [symbol("B"), symbol("S")];

const pixel_values = input("pixel_values", "float32", [B, 3, 56, 56]);
const inputs_embeds = input("inputs_embeds", "float32", [B, S, language.hidden_size]);
const logits = language.forward(inputs_embeds, causalCache({}));
const loss = ops.reduceMean(ops.mul(logits, logits));
const parameters = [...language.namedParameters()];
const gradients = grad(
  loss,
  parameters.map(([, weight]) => weight),
);
const graphs: Record<string, GraphDefinition> = {
  encoder: { inputs: { pixel_values }, outputs: { features: projector.forward(vision.forward(pixel_values)) } },
  decoder: decoderGraph(language),
  training: {
    inputs: { inputs_embeds },
    outputs: { loss, ...Object.fromEntries(parameters.map(([name], i) => [`${name}.grad`, gradients[i] ?? loss])) },
  },
};

for (const part of [vision, projector, language] as readonly Module[]) initialize(part, { seed: 0 });
for (const [name, graph] of Object.entries(graphs)) await writeOnnx(graph, join(folder, `${name}.onnx`));
