/**
 * A linear layer with the updates of several adapters beside it; each row of a batch takes its own, or none.
 *
 *     x        [B, S, in]
 *     adapter  [B]  int64: 0 for none, k for the k-th adapter; see {@link setAdapterRows}
 *     forward  [B, S, out] = W·x + b + B[adapter]·A[adapter]·x
 *
 * state_dict  what the layer had · lora_A [K + 1, r, in] · lora_B [K + 1, out, r]: zeros for none, each B with its scale in it,
 *             ranks below the largest padded with zeros
 * reference   peft `LoraModel.forward(adapter_names=…)`
 */
import { readFloat32 } from "@waggle/checkpoint";
import { ops, shapeOf, type Value } from "@waggle/graph";
import { computedSource } from "./computed-source.ts";
import { zeros } from "./init.ts";
import { Linear } from "./linear.ts";
import type { LowRankUpdate } from "./lora-adapter.ts";
import type { Module } from "./module.ts";
import { Parameter } from "./parameter.ts";

export class MultiLoraLinear extends Linear {
  readonly lora_A: Parameter;
  readonly lora_B: Parameter;
  readonly #base: Linear;
  #rows: Value | null = null;

  /** `updates`: of each adapter in order, null for one that leaves the layer as it is. */
  constructor(base: Linear, updates: readonly (LowRankUpdate | null)[]) {
    const { in_features, out_features, weight, bias } = base;
    super(in_features, out_features, { weight, bias: bias ?? false });
    this.#base = base;
    const r = Math.max(1, ...updates.map((update) => update?.A.shape[0] ?? 0));
    const content = updates
      .map((update) => (update ? `${update.A.fingerprint} ${update.B.fingerprint} ${update.scale}` : "none"))
      .join(", ");
    this.lora_A = stack([updates.length + 1, r, in_features], `A of ${content}`, async (into, k) => {
      const update = updates[k - 1];
      if (update) into.set(await readFloat32(update.A)); // its rows come first, the others stay zero
    });
    this.lora_B = stack([updates.length + 1, out_features, r], `B of ${content}`, async (into, k) => {
      const update = updates[k - 1];
      if (!update) return;
      const [values, own] = [await readFloat32(update.B), update.A.shape[0] ?? 0];
      for (let i = 0; i < values.length; i++) into[Math.floor(i / own) * r + (i % own)] = update.scale * (values[i] as number);
    });
  }

  /** From now on rows take the updates that `rows` [B] names; null: none. */
  takeBy(rows: Value | null): void {
    this.#rows = rows;
  }

  override forward(x: Value): Value {
    const y = this.#base.forward(x);
    if (this.#rows === null) return y;
    shapeOf(x, "B S? in");
    const [A, B] = [ops.gather(this.lora_A, this.#rows, 0), ops.gather(this.lora_B, this.#rows, 0)]; // [B, r, in], [B, out, r]
    return ops.add(y, ops.matmul(ops.matmul(x, A, { transB: true }), B, { transB: true }));
  }
}

/** Which adapter each row of a batch takes, in graphs that are written from now on: int64 [B], 0 for none. */
export function setAdapterRows(root: Module, rows: Value | null): void {
  for (const [, module] of root.namedModules()) if (module instanceof MultiLoraLinear) module.takeBy(rows);
}

/** K + 1 slices, the first of them zeros; `fill` writes the k-th. */
function stack(
  shape: readonly [number, number, number],
  content: string,
  fill: (into: Float32Array, k: number) => Promise<void>,
): Parameter {
  const [count, height, width] = shape;
  const size = height * width;
  const parameter = new Parameter(shape, { init: zeros });
  parameter.source = computedSource("float32", shape, `adapters: ${content}`, async () => {
    const values = new Float32Array(count * size);
    for (let k = 1; k < count; k++) await fill(values.subarray(k * size, (k + 1) * size), k);
    return values;
  });
  return parameter;
}
