import type { TensorSource } from "@waggle/checkpoint";
import type { Module, StateDict } from "@waggle/nn";

/** CLIP's layers behind the last that is used, and its last norm: other programs build the whole encoder. */
const unused = /^vision_tower\.vision_model\.(encoder\.layers\.\d+|post_layernorm)\./;

/** The tensors that the module takes, without copies of tied ones and what nobody reads; `spelling` as for `bindWeights`. */
export function usedTensors(module: Module, { tensors }: StateDict, spelling: (key: string) => string): ReadonlyMap<string, TensorSource> {
  const names = new Set(Array.from(module.namedParameters(), ([path]) => path));
  const held = new Set(Array.from(tensors.keys(), spelling));
  // Of a tied pair some files hold only the second.
  for (const [path, first] of tiedPaths(module)) if (!held.has(first)) names.add(path);
  return new Map([...tensors].filter(([key]) => names.has(spelling(key)) || unused.test(spelling(key))));
}

/** Under which paths a file may hold copies that do not count. */
export function copiesIn(module: Module): ReadonlySet<string> {
  return new Set(tiedPaths(module).map(([path]) => path));
}

/** Further paths of parameters that stand in several places, with the first. */
function tiedPaths(module: Module): readonly (readonly [path: string, first: string])[] {
  const first = new Map<unknown, string>();
  return Array.from(module.parameterPaths()).flatMap(([path, parameter]) => {
    const earlier = first.get(parameter);
    if (earlier === undefined) first.set(parameter, path);
    return earlier === undefined ? [] : [[path, earlier] as const];
  });
}
