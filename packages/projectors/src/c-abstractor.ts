/**
 * C-Abstractor, the convolutional abstractor of Honeybee: convolutions before and after an adaptive pool keep the locality
 * that a resampler loses, and any square number of tokens may leave.
 *
 *     x        [B, N, C]      N = rows · columns patches, row by row, no class token
 *     net.0    [B, N, H]      `depth` bottleneck blocks (RegStage)
 *     net.1    [B, M, H]      adaptive average pool to √M × √M
 *     net.2    [B, M, H]      `depth` bottleneck blocks
 *     readout  [B, M, D]      `mlp_depth` linear maps with SiLU between them
 *
 * With depth 0 there is only the pool, and H = C.
 *
 * state_dict  net.{0,2}.b{i}.* (RegStage) · readout.{0,2,…}.{weight,bias} · pos_emb, prenorm, eos_tokens (Abstractor)
 * paper       arXiv 2312.06742, section 3.2       reference  honeybee `CAbstractor`
 */
import { constant, ops, type Value } from "@waggle/graph";
import { checkOptions, Module, type Sequential } from "@waggle/nn";
import { Abstractor, type AbstractorOptions } from "./abstractor.ts";
import { checkFeatures, type Grid, type ProjectorFactory, squareSide, wholeNumbers } from "./projector.ts";
import type { ProjectorMaps } from "./projector-maps.ts";
import { readout } from "./readout.ts";
import { pooledRows, RegStage } from "./reg-stage.ts";

export interface CAbstractorOptions extends AbstractorOptions {
  /** M: visual tokens, a square number. */
  readonly tokens: number;
  /** H: width of the convolutions. Default: that of the features. */
  readonly hidden_size?: number;
  /** Blocks in each of the two stages. Default 3. */
  readonly depth?: number;
  /** Linear maps at the end. Default 2. */
  readonly mlp_depth?: number;
}

export function cAbstractor(options: CAbstractorOptions): ProjectorFactory {
  checkOptions("cAbstractor", options, ["tokens", "hidden_size", "depth", "mlp_depth", "pos_emb", "prenorm", "num_eos_tokens"]);
  const { tokens, depth = 3, mlp_depth = 2, hidden_size = 1, num_eos_tokens = 0 } = options;
  wholeNumbers("cAbstractor", {
    tokens: [tokens, 1, 65_536],
    depth: [depth, 0, 64],
    mlp_depth: [mlp_depth, 1, 64],
    hidden_size: [hidden_size, 1, 65_536],
    num_eos_tokens: [num_eos_tokens, 0, 4096],
  });
  squareSide("cAbstractor", "tokens", tokens);
  return (C, D, grid) => new CAbstractor(C, D, grid, options);
}

/** RegStage, pool, RegStage under the keys 0 and 2. */
class Net extends Module {
  readonly 0: RegStage;
  readonly 2: RegStage;

  constructor(depth: number, into: number, width: number) {
    super();
    this[0] = new RegStage(depth, into, width);
    this[2] = new RegStage(depth, width, width);
  }
}

export class CAbstractor<C extends number, D extends number> extends Abstractor<C, D> {
  readonly net: Net | null;
  readonly readout: Sequential;
  readonly #from: Grid;
  readonly #to: Grid;

  constructor(vision_hidden_size: C, text_hidden_size: D, grid: Grid, options: CAbstractorOptions) {
    super(vision_hidden_size, text_hidden_size, grid.rows * grid.columns, { pos_emb: true, ...options });
    const { tokens, depth = 3, mlp_depth = 2, hidden_size = vision_hidden_size } = options;
    const side = squareSide("CAbstractor", "tokens", tokens);
    this.#from = grid;
    this.#to = { rows: side, columns: side };
    this.net = depth > 0 ? new Net(depth, vision_hidden_size, hidden_size) : null;
    this.readout = readout(depth > 0 ? hidden_size : vision_hidden_size, text_hidden_size, mlp_depth);
  }

  tokenCount(): number {
    return this.#to.rows * this.#to.columns + this.num_eos_tokens;
  }

  protected project(x: Value): Value {
    checkFeatures("CAbstractor", x, this.vision_hidden_size, this.#from.rows * this.#from.columns);
    const local = this.net?.[0].forward(x, this.#from) ?? x;
    const pooled = pooledRows(local, this.#from, this.#to);
    return this.readout.forward(this.net?.[2].forward(pooled, this.#to) ?? pooled);
  }

  /** The bins of the pool; what the convolutions see around them is not counted. */
  explain(): ProjectorMaps {
    const N = this.#from.rows * this.#from.columns;
    const identity = constant(
      Float32Array.from({ length: N * N }, (_, i) => (i % (N + 1) === 0 ? 1 : 0)),
      { shape: [1, N, N] },
    );
    return { kind: "bins", weights: ops.reshape(pooledRows(identity, this.#from, this.#to), [this.#to.rows * this.#to.columns, N]) };
  }
}
