/**
 * What a run learnt, as a folder that can be loaded:
 *
 *     out/adapter   over a published model: what was trained, as PEFT saves it; `load` and `waggle merge` open it, and PEFT
 *                   where there are LoRA pairs
 *     out/model     of parts composed by hand: all weights, for the composition's own `load`
 */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { type Assembly, saveModel } from "@waggle/mllm";
import { LoraLinear, type Module, mergeLora, type Parameter, saveAdapter } from "@waggle/nn";

/** Writes the folder and returns its path. Parameters hold what was learnt. */
export async function saveTrained(model: Assembly, modules: Module, learnt: ReadonlyMap<string, Parameter>, out: string): Promise<string> {
  const { origin, adapterKeys } = model;
  const folder = join(out, origin ? "adapter" : "model");
  await rm(folder, { recursive: true, force: true }); // of a run that is resumed at its end
  if (origin === undefined) {
    const restore = mergeLora(modules);
    await saveModel(model, folder).finally(restore);
    return folder;
  }
  const whole = new Set([...learnt.keys(), ...(model.initialized ?? [])].filter((path) => !/\.lora_[AB]\.weight$/.test(path)));
  const pairs = [...modules.namedModules()].flatMap(([path, module]) =>
    module instanceof LoraLinear ? [{ path, weight: module.weight, bias: module.bias }] : [],
  );
  // A layer whose weight (under any of its names) or bias learnt beside its pair has no place in an adapter: then all pairs go into their layers.
  const parameters = [...modules.parameterPaths()].filter(([path]) => whole.has(path)).map(([, parameter]) => parameter);
  const both = pairs.some(({ weight, bias }) => parameters.some((parameter) => parameter === weight || parameter === bias));
  const restore = both ? mergeLora(modules) : () => {};
  if (both) for (const { path } of pairs) whole.add(`${path}.weight`);
  const spelling = adapterKeys ? { spelling: adapterKeys.keyOf } : {};
  const options = { base_model_name_or_path: origin.id, trained: whole, ...spelling };
  await saveAdapter(folder, modules, options).finally(restore);
  return folder;
}
