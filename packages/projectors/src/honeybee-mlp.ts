/**
 * Honeybee's `mlp` (with depth 1: `linear`) projector: `depth` linear maps with SiLU between them, one token per patch.
 *
 *     x    [B, N, C]
 *     net  [B, N, D]
 *
 * state_dict  net.0.{weight,bias} [D, C] · net.2, net.4 … [D, D] · and those of Abstractor
 * paper       arXiv 2312.06742, section 3       reference  honeybee `MLPProjector`
 */
import type { Value } from "@waggle/graph";
import { checkOptions, type Sequential } from "@waggle/nn";
import { Abstractor, type AbstractorOptions } from "./abstractor.ts";
import { type ProjectorFactory, wholeNumbers } from "./projector.ts";
import { readout } from "./readout.ts";

export interface HoneybeeMlpOptions extends AbstractorOptions {
  /** Linear maps. Default 2. */
  readonly depth?: number;
}

export function honeybeeMlp(options: HoneybeeMlpOptions = {}): ProjectorFactory {
  checkOptions("honeybeeMlp", options, ["depth", "pos_emb", "prenorm", "num_eos_tokens"]);
  const { depth = 2, num_eos_tokens = 0 } = options;
  wholeNumbers("honeybeeMlp", { depth: [depth, 1, 64], num_eos_tokens: [num_eos_tokens, 0, 4096] });
  return (C, D, { rows, columns }) => new HoneybeeMlp(C, D, rows * columns, depth, options);
}

export class HoneybeeMlp<C extends number, D extends number> extends Abstractor<C, D> {
  readonly net: Sequential;

  constructor(vision_hidden_size: C, text_hidden_size: D, patches: number, depth: number, options: AbstractorOptions) {
    super(vision_hidden_size, text_hidden_size, patches, options);
    this.net = readout(vision_hidden_size, text_hidden_size, depth);
  }

  tokenCount(patches: number): number {
    return patches + this.num_eos_tokens;
  }

  protected project(x: Value): Value {
    return this.net.forward(x);
  }
}
