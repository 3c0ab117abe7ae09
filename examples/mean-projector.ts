/** A projector of one's own for the lab: means of neighbouring patches, then one linear layer. `projector-lab.ts` compares it. */
import { ops, shapeOf, type Value } from "@waggle/graph";
import { ConfigError, Linear, Module } from "@waggle/nn";
import type { Grid, Projector, ProjectorFactory } from "@waggle/projectors";

class MeanProjector<C extends number, D extends number> extends Module implements Projector<C, D> {
  readonly vision_hidden_size: C;
  readonly text_hidden_size: D;
  readonly linear: Linear;
  readonly #grid: readonly [side: number, window: number]; // of tokens; of the patches that become one

  constructor(C: C, D: D, { rows, columns }: Grid, tokens: number) {
    super();
    const side = Math.sqrt(tokens);
    if (rows !== columns || rows % side !== 0)
      throw new ConfigError("MeanProjector", [{ field: "tokens", message: `${tokens} do not divide ${rows}×${columns} patches.` }]);
    this.vision_hidden_size = C;
    this.text_hidden_size = D;
    this.linear = new Linear(C, D);
    this.#grid = [side, rows / side];
  }

  tokenCount(): number {
    return this.#grid[0] ** 2;
  }

  /** [B, N, C] → [B, M, D] */
  forward(features: Value): Value {
    const [B, , C] = shapeOf(features, "B N C");
    const [m, w] = this.#grid;
    const means = ops.reduceMean(ops.reshape(features, [B, m, w, m, w, C]), { axes: [2, 4] }); // [B, m, m, C]
    return this.linear.forward(ops.reshape(means, [B, m * m, C]));
  }
}

export const meanProjector =
  (tokens: number): ProjectorFactory =>
  (C, D, grid) =>
    new MeanProjector(C, D, grid, tokens);
