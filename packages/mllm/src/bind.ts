import type { WeightSource } from "@waggle/graph";
import { loadStateDict, type Module, type StateDict } from "@waggle/nn";

/**
 * Binds a checkpoint's tensors to a module's parameters; strict, and without reading them. `spelling` gives the module's
 * name of a key, `transform` another source for one of the module's names.
 *
 * A parameter that stands in several places (lm_head tied to the embeddings) is taken from the first. Some files hold
 * copies for the others too; as in transformers, they do not count.
 */
export function bindWeights(
  module: Module,
  checkpoint: StateDict,
  spelling: (key: string) => string = (key) => key,
  transform: (name: string, source: WeightSource) => WeightSource = (_, source) => source,
): void {
  const held = new Set(Array.from(checkpoint.tensors.keys(), spelling));
  const copies = new Set<string>();
  const first = new Map<unknown, string>();
  for (const [path, parameter] of module.parameterPaths()) {
    const earlier = first.get(parameter);
    if (earlier === undefined) first.set(parameter, path);
    else if (held.has(earlier)) copies.add(path);
  }
  loadStateDict(module, checkpoint, {
    rename: (key) => {
      const name = spelling(key);
      return copies.has(name) ? null : name;
    },
    transform,
  });
}
