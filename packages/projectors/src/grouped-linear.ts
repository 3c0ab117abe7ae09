/**
 * Grouped linear projector: `group` patches in a row become one token. MiniGPT-4's projector for Llama 2, which has no Q-Former.
 *
 *     x           [B, N, C]
 *     grouped     [B, N/g, g·C]   neighbours in the order of the patches
 *     llama_proj  [B, N/g, D]
 *
 * state_dict  llama_proj.{weight,bias} [D, g·C]
 * reference   MiniGPT-4 `MiniGPT4.encode_img` without Q-Former
 */
import { ops, ShapeError, type Value } from "@waggle/graph";
import { checkOptions, type Linear, Module } from "@waggle/nn";
import { checkFeatures, type Grid, type Projector, type ProjectorFactory, wholeNumbers } from "./projector.ts";
import { torchLinear } from "./torch-linear.ts";

export function groupedLinear(options: { readonly group?: number } = {}): ProjectorFactory {
  checkOptions("groupedLinear", options, ["group"]);
  const { group = 4 } = options;
  wholeNumbers("groupedLinear", { group: [group, 1, 65_536] });
  return (C, D, grid) => new GroupedLinear(C, D, grid, group);
}

export class GroupedLinear<C extends number, D extends number> extends Module implements Projector<C, D> {
  readonly vision_hidden_size: C;
  readonly text_hidden_size: D;
  readonly llama_proj: Linear;
  readonly #patches: number;
  readonly #group: number;

  constructor(vision_hidden_size: C, text_hidden_size: D, { rows, columns }: Grid, group: number) {
    super();
    this.vision_hidden_size = vision_hidden_size;
    this.text_hidden_size = text_hidden_size;
    this.llama_proj = torchLinear(vision_hidden_size * group, text_hidden_size);
    this.#patches = rows * columns;
    this.#group = group;
    if (this.#patches % group !== 0) throw new ShapeError(`GroupedLinear: ${this.#patches} patches do not divide into groups of ${group}.`);
  }

  tokenCount(patches: number): number {
    return patches / this.#group;
  }

  forward(features: Value): Value {
    const [B, , C] = checkFeatures("GroupedLinear", features, this.vision_hidden_size, this.#patches);
    return this.llama_proj.forward(ops.reshape(features, [B, this.#patches / this.#group, C * this.#group]));
  }
}
