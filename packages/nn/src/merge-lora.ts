/** What LoRA pairs learnt, multiplied into their layers, and taken out again. */

import { Linear } from "./linear.ts";
import { LoraLinear, refuse } from "./lora-linear.ts";
import { type MatrixProduct, mergedSource } from "./merge-adapter.ts";
import { join, type Module } from "./module.ts";
import { Parameter } from "./parameter.ts";

/**
 * Puts a plain Linear of W + s·B·A in the place of every {@link LoraLinear} below the root, as PEFT's
 * `merge_and_unload`; products are made when weights are read. What it returns puts the pairs back: their bases were
 * kept, so every bit is as before. A weight that others share (tied embeddings) changes in the merged layer only.
 * @throws ConfigError naming pairs or layers without values.
 */
export function mergeLora(root: Module, product?: MatrixProduct): () => void {
  const places = [...placesOf(root)];
  refuse(
    "mergeLora",
    places.flatMap(({ path, pair }) =>
      [pair.weight, pair.lora_A.weight, pair.lora_B.weight].every(({ source }) => source !== null)
        ? []
        : [{ field: path, message: "has no values. Load or initialise the module first." }],
    ),
  );
  const merged = new Map<LoraLinear, Linear>();
  for (const { parent, name, pair } of places) {
    const linear = merged.get(pair) ?? plainLinear(pair, product);
    merged.set(pair, linear);
    parent.replaceChild(name, linear);
  }
  return () => {
    for (const { parent, name, pair } of places) parent.replaceChild(name, pair);
  };
}

interface Place {
  readonly parent: Module;
  readonly name: string;
  readonly path: string;
  readonly pair: LoraLinear;
}

function* placesOf(root: Module): IterableIterator<Place> {
  const seen = new Set<Module>();
  for (const [above, parent] of root.namedModules()) {
    if (seen.has(parent)) continue;
    seen.add(parent);
    for (const [name, child] of parent.namedChildren())
      if (child instanceof LoraLinear) yield { parent, name, path: join(above, name), pair: child };
  }
}

function plainLinear(pair: LoraLinear, product?: MatrixProduct): Linear {
  const { in_features, out_features, bias, lora_A, lora_B, lora_alpha, scaling: scale } = pair;
  const weight = new Parameter(pair.weight.shape);
  weight.label = pair.weight.label;
  const [base, A, B] = [pair.weight.source, lora_A.weight.source, lora_B.weight.source];
  if (base !== null && A !== null && B !== null)
    weight.source = mergedSource(base, { A, B, lora_alpha, scale, transposed: false }, product);
  return new Linear(in_features, out_features, { weight, bias: bias ?? false });
}
