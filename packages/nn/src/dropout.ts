/**
 * Dropout whose mask is a function of (seed, stream, place), made by a few operators of the graph itself: a step that is
 * done again (resume, recomputation) drops the same.
 *
 *     x        […, C]   its T rows are counted through
 *     rows     [T]      odd 32-bit numbers, a hash of seed, stream and row
 *     columns  [C]      the same of seed, stream and column
 *     kept     where rows[t] · columns[c] mod 2³², read with its sign, is at least −2³¹ + p · 2³²
 *
 * One int32 product and one comparison for each element. The product of two random odd numbers is as good as a random
 * one here: a sum Σ k·rows·columns over any few elements is spread evenly unless Σ k·rows vanishes for every column in
 * it, which happens about once in 2³² draws (tested: mean, variance, pairs, 2 × 2 squares, streams, seeds).
 */
import { type Dim, dimMul, ops, type Value } from "@waggle/graph";
import { hash } from "./random.ts";

export interface DropoutOptions {
  /** The share that is dropped, 0 ≤ p < 1. */
  readonly p: number;
  /** int64 [], ≥ 0. */
  readonly seed: Value;
  /** Layers of different names drop independently. */
  readonly stream: string;
}

/**
 * x [..., C] → the same shape: 0 with probability p, else x. Whoever calls it divides by 1 − p, where the tensors are
 * small: LoRA does so behind A.
 */
export function dropout(x: Value, { p, seed, stream }: DropoutOptions): Value {
  const C = x.shape.at(-1) ?? 1;
  const leading = x.shape.slice(0, -1);
  const T = leading.reduce<Dim>((product, dim) => dimMul(product, dim), 1);
  const key = (name: string): Value => mix(ops.add(mix(ops.add(low(seed), hash(`${stream}\0${name}`))), ops.div(seed, WORD)));
  const rows = ops.reshape(oddNumbers(key("rows"), T), [...leading, 1]);
  const bits = ops.mul(rows, oddNumbers(key("columns"), C));
  const kept = ops.greaterOrEqual(bits, Math.round(p * WORD) - WORD / 2);
  return ops.where(kept, x, 0);
}

const WORD = 2 ** 32;

/** `count` odd int32 numbers, hashed from the key and their place. */
function oddNumbers(key: Value, count: Dim): Value {
  const hashed = mix(ops.add(mix(ops.add(key, ops.mul(ops.range(count), GOLDEN))), key));
  const odd = ops.add(ops.mul(ops.div(hashed, 2), 2), 1 - WORD / 2);
  return ops.cast(odd, "int32");
}

const GOLDEN = 0x9e3779b9;

/**
 * Spreads every bit over all: twice a product, whose upper half's square is added. Squares, because graphs have no bit
 * operators, and sums of shifts alone stay nearly linear (measured: sums of rows and columns beyond 4 σ 28 times too often).
 * 0 ≤ x < 2⁶³ → 0 ≤ y < 2³².
 */
function mix(x: Value): Value {
  let mixed = low(x);
  for (const factor of FACTORS) {
    const product = low(ops.mul(mixed, factor));
    const upper = ops.div(product, 2 ** 16);
    mixed = low(ops.add(product, ops.mul(upper, upper)));
  }
  return mixed;
}

/** Odd, and below 2³¹, so that products stay below 2⁶³. */
const FACTORS: readonly number[] = [0x45d9f3b, 0x2c1b3c6d];

/** x mod 2³², for x ≥ 0. */
function low(x: Value): Value {
  return ops.sub(x, ops.mul(ops.div(x, WORD), WORD));
}
