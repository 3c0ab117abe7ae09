/**
 * Rows of a table: ids […] → […, width].
 *
 * state_dict  weight [rows, width]
 */
import { ops, type Value } from "@waggle/graph";
import { checkOptions } from "./config-error.ts";
import type { Init } from "./init.ts";
import { Module } from "./module.ts";
import { Parameter } from "./parameter.ts";

export interface EmbeddingOptions {
  readonly init?: Init;
}

export class Embedding extends Module {
  readonly weight: Parameter;

  constructor(rows: number, width: number, options: EmbeddingOptions = {}) {
    super();
    checkOptions("Embedding", options, ["init"]);
    this.weight = new Parameter([rows, width], options);
  }

  forward(ids: Value): Value {
    return ops.embedding(ids, this.weight);
  }
}
