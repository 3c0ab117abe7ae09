/**
 * The past as plain inputs of the graph, and only what is new as outputs. Node's binding of ONNX Runtime copies every
 * output and no input, so a step costs the same however long the context is.
 *
 *     past.key         [B, Hkv, Dh, P]   keys transposed, P ≥ every past length
 *     past.value       [B, Hkv, P, Dh]
 *     past_lengths     [B] int64         what lies behind them is not looked at
 *     attend           softmax([q·K_past, q·k_new]) · [V_past; v_new], new tokens causal among themselves
 *     presents         key [B, Hkv, Dh, S], value [B, Hkv, S, Dh]
 *
 * Grouped queries: the g query heads of one key head are its g·S rows, so no key is ever repeated.
 */
import { type Dim, dimMul, ops, shapeOf, type Value } from "@waggle/graph";
import type { AttendOptions, KeyValueCache } from "./key-value-cache.ts";

export interface KeyValue {
  readonly key: Value;
  readonly value: Value;
}

export interface PastOptions {
  readonly position_ids: Value;
  readonly past_lengths: Value;
  /** One per layer. */
  readonly past: readonly KeyValue[];
}

export class PastCache implements KeyValueCache {
  /** What each layer has added, in the layout of the past. */
  readonly presents: KeyValue[] = [];
  readonly #position_ids: Value;
  readonly #past: readonly KeyValue[];
  readonly #pastMask: Value;
  readonly #newMask: Value;

  constructor({ position_ids, past_lengths, past }: PastOptions) {
    const [first] = past;
    if (first === undefined) throw new RangeError("PastCache: expected the past of at least one layer.");
    this.#position_ids = position_ids;
    this.#past = past;
    const [B, , P] = shapeOf(first.value, "B H P? D");
    const [, S] = shapeOf(position_ids, "B S?");
    const behind = ops.greaterOrEqual(ops.range(P), ops.unsqueeze(past_lengths, 1)); // [B, P]
    this.#pastMask = ops.reshape(hidden(behind), [B, 1, 1, P]);
    const steps = ops.range(S);
    this.#newMask = hidden(ops.greater(ops.unsqueeze(steps, 0), ops.unsqueeze(steps, 1))); // [S, S]
  }

  positions(): Value {
    return this.#position_ids;
  }

  attend(layer: number, q: Value, k: Value, v: Value, options: AttendOptions = {}): Value {
    const past = this.#past[layer];
    if (past === undefined) throw new RangeError(`PastCache: expected a layer below ${this.#past.length}, got ${layer}.`);
    const [B, heads, S, D] = shapeOf(q, "B H S? D");
    const [, groups] = shapeOf(k, "B H S? D");
    const [, , P] = shapeOf(past.value, "B H P? D");
    const rows = dimMul(heads / groups, S);
    const queries = ops.reshape(ops.mul(q, options.scale ?? 1 / Math.sqrt(D)), [B, groups, rows, D]);
    const key = ops.transpose(k, [0, 1, 3, 2]);
    this.presents[layer] = { key, value: v };
    const old = ops.add(ops.matmul(queries, past.key), this.#pastMask); // [B, Hkv, g·S, P]
    const fresh = ops.add(ops.matmul(queries, key), this.#rowMask(heads / groups, S, rows)); // [B, Hkv, g·S, S]
    const weights = ops.softmax(ops.concat([old, fresh], 3), 3);
    const onPast = ops.matmul(ops.slice(weights, { axis: 3, end: P }), past.value);
    const attended = ops.add(onPast, ops.matmul(ops.slice(weights, { axis: 3, start: P }), v));
    return ops.reshape(attended, [B, heads, S, D]);
  }

  /** The causal mask once for each of the g query heads that share a key head: [g·S, S]. */
  #rowMask(group: number, S: Dim, rows: Dim): Value {
    return group === 1 ? this.#newMask : ops.reshape(ops.expand(this.#newMask, [group, S, S]), [rows, S]);
  }
}

function hidden(mask: Value): Value {
  return ops.where(mask, Number.NEGATIVE_INFINITY, 0);
}
