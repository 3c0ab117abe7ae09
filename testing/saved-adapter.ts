/** An adapter as our own training would save it: two ranks, rank-stabilised, a projector trained whole. reference/mllm/adapters.py opens it with PEFT. */
import { fileURLToPath } from "node:url";
import { type Assembly, assemble } from "@waggle/mllm";
import { addLora, computedSource, type Module, random, saveAdapter } from "@waggle/nn";

export const adapterBase = fileURLToPath(new URL("../golden/llava-tiny-hf", import.meta.url));

/** The model with pairs beside it, which hold what "training" made of them. */
export async function tunedModel(): Promise<{ readonly model: Assembly; readonly modules: Module }> {
  const model = await assemble(adapterBase);
  const modules = model.composition?.modules;
  if (!modules) throw new Error("llava-tiny-hf sees.");
  const shape = { lora_alpha: 6, lora_dropout: 0.1, use_rslora: true } as const;
  addLora(modules, { target_modules: "language_model\\..*\\.(q_proj|v_proj)", r: 4, ...shape });
  addLora(modules, { target_modules: ["mlp.down_proj"], ...shape, r: 2, lora_alpha: 3 });
  for (const [path, parameter] of modules.namedParameters()) {
    if (!/lora_B|multi_modal_projector/.test(path)) continue;
    const stream = random(11, path);
    const values = Float32Array.from({ length: parameter.shape.reduce((a, b) => a * b, 1) }, () => 0.6 * stream.uniform() - 0.3);
    parameter.source = computedSource("float32", parameter.shape, `trained ${path}`, async () => values);
  }
  return { model, modules };
}

export async function writeTunedAdapter(folder: string): Promise<void> {
  const { model, modules } = await tunedModel();
  const trained = [...modules.namedParameters()].flatMap(([path]) => (/lora_|multi_modal_projector/.test(path) ? [path] : []));
  const { keyOf } = model.adapterKeys ?? { keyOf: (path: string) => path };
  await saveAdapter(folder, modules, { base_model_name_or_path: "llava-tiny-hf", trained, spelling: keyOf });
}
