import { computedSource } from "./computed-source.ts";
import type { Module } from "./module.ts";
import type { Parameter } from "./parameter.ts";
import { random } from "./random.ts";

/**
 * Gives every parameter of the module values from its own initialiser. Nothing is computed until the values are read;
 * the same seed gives the same values on every machine (see random.ts).
 */
export function initialize(module: Module, { seed }: { readonly seed: number }): void {
  for (const [name, parameter] of module.namedParameters()) initializeParameter(parameter, name, seed);
}

/** The same for one parameter; `name` is its path from the root, from which its own random numbers follow. */
export function initializeParameter(parameter: Parameter, name: string, seed: number): void {
  const { init, dtype, shape } = parameter;
  if (dtype !== "float32") throw new TypeError(`initialize: ${name} is ${dtype}; initialisers fill float32 parameters only.`);
  parameter.label = name;
  const fingerprint = `initialize(${seed}, ${name}): ${init.description}`;
  parameter.source = computedSource(dtype, shape, fingerprint, async () => {
    const values = new Float32Array(shape.reduce((product, size) => product * size, 1));
    init.fill(values, shape, random(seed, name));
    return values;
  });
}
