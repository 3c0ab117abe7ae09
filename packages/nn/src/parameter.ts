import { type DataType, Weight } from "@waggle/graph";
import { type Init, normal } from "./init.ts";

export interface ParameterOptions {
  /** How {@link initialize} fills it. Default: normal with σ = 0.02, as transformers' `initializer_range`. */
  readonly init?: Init;
  readonly dtype?: DataType;
}

/** A weight of a module: a leaf of the graph whose values come from a checkpoint, or from its initialiser. */
export class Parameter extends Weight {
  readonly init: Init;

  constructor(shape: readonly number[], { init = normal(0.02), dtype = "float32" }: ParameterOptions = {}) {
    super(shape, dtype);
    this.init = init;
  }
}
