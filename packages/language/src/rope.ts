/**
 * Rotary position embeddings and the ways in which checkpoints stretch them.
 *
 *     position_ids  [B, S]
 *     cos, sin      [B, S, D/2]   angle = position · inverse frequency, half rotation (not interleaved)
 *
 *     default  1 / θ^(2j/D)
 *     linear   the same, divided by factor
 *     dynamic  θ grows with the length: θ·(factor·L/max − factor + 1)^(D/(D−2)), L = max(length, max)
 *     llama3   long waves divided by factor, short ones kept, those between blended
 *     yarn     the same idea by number of rotations; cos and sin also scaled by attention_factor
 *
 * Lengths of `dynamic`: each row of a batch has its own, the highest of its positions plus one. So an answer does not
 * depend on its neighbours, and equals what transformers computes for the row alone (in a batch transformers gives every row the
 * longest row's). Keys already in a cache keep the rotation they were stored with, as in transformers.
 *
 * reference  transformers `modeling_rope_utils`; frequencies are rounded to float32 where PyTorch rounds them
 */
import { constant, ops, shapeOf, type Value } from "@waggle/graph";

interface Theta {
  readonly rope_theta: number;
}

export type RopeParameters =
  | (Theta & { readonly rope_type: "default" })
  | (Theta & { readonly rope_type: "linear"; readonly factor: number })
  | (Theta & { readonly rope_type: "dynamic"; readonly factor: number })
  | Llama3Parameters
  | YarnParameters;

interface Llama3Parameters extends Theta {
  readonly rope_type: "llama3";
  readonly factor: number;
  readonly low_freq_factor: number;
  readonly high_freq_factor: number;
  readonly original_max_position_embeddings: number;
}

interface YarnParameters extends Theta {
  readonly rope_type: "yarn";
  readonly factor: number;
  readonly original_max_position_embeddings: number;
  readonly attention_factor?: number | undefined;
  readonly beta_fast: number;
  readonly beta_slow: number;
  readonly mscale?: number | undefined;
  readonly mscale_all_dim?: number | undefined;
  readonly truncate: boolean;
}

export interface Rotation {
  readonly cos: Value;
  readonly sin: Value;
}

/** cos and sin, [B, S, D/2], of the angles at these positions. */
export function rotation(rope: RopeParameters, head_dim: number, max_position_embeddings: number, position_ids: Value): Rotation {
  shapeOf(position_ids, "B S?");
  const positions = ops.unsqueeze(ops.cast(position_ids, "float32"), 2); // [B, S, 1]
  const frequencies =
    rope.rope_type === "dynamic"
      ? dynamicFrequencies(rope, head_dim, max_position_embeddings, position_ids)
      : constant(inverseFrequencies(rope, head_dim));
  const angles = ops.mul(positions, frequencies);
  const scale = rope.rope_type === "yarn" ? attentionFactor(rope) : 1;
  const scaled = (x: Value): Value => (scale === 1 ? x : ops.mul(x, scale));
  return { cos: scaled(ops.cos(angles)), sin: scaled(ops.sin(angles)) };
}

/** One inverse frequency per pair of a head's dimensions, [D/2]. */
export function inverseFrequencies(rope: Exclude<RopeParameters, { rope_type: "dynamic" }>, head_dim: number): Float32Array {
  const plain = Float32Array.from(exponents(head_dim), (exponent) => 1 / Math.fround(rope.rope_theta ** exponent));
  switch (rope.rope_type) {
    case "default":
      return plain;
    case "linear":
      return plain.map((frequency) => frequency / rope.factor);
    case "llama3":
      return plain.map((frequency) => llama3Frequency(rope, frequency));
    case "yarn":
      return plain.map((frequency, pair) => {
        const kept = 1 - yarnRamp(rope, head_dim, pair);
        return Math.fround(frequency / rope.factor) * (1 - kept) + frequency * kept;
      });
    default:
      return rope satisfies never;
  }
}

function exponents(head_dim: number): Float32Array {
  return Float32Array.from({ length: head_dim / 2 }, (_, pair) => (2 * pair) / head_dim);
}

/** [B, 1, D/2]: every row by its own length. */
function dynamicFrequencies(rope: Theta & { readonly factor: number }, head_dim: number, max: number, position_ids: Value): Value {
  const { factor, rope_theta } = rope;
  const last = ops.reduceMax(position_ids, { axes: [1], keepDims: true }); // [B, 1]
  const length = ops.cast(ops.maximum(ops.add(last, 1), max), "float32");
  const stretch = ops.sub(ops.div(ops.mul(length, factor), max), factor - 1);
  const base = ops.unsqueeze(ops.mul(ops.pow(stretch, head_dim / (head_dim - 2)), rope_theta), 2); // [B, 1, 1]
  return ops.reciprocal(ops.pow(base, constant(exponents(head_dim))));
}

function llama3Frequency(rope: Llama3Parameters, frequency: number): number {
  const { factor, low_freq_factor, high_freq_factor, original_max_position_embeddings: trained } = rope;
  const wave = (2 * Math.PI) / frequency;
  if (wave < trained / high_freq_factor) return frequency;
  if (wave > trained / low_freq_factor) return frequency / factor;
  const kept = (trained / wave - low_freq_factor) / (high_freq_factor - low_freq_factor);
  return ((1 - kept) * frequency) / factor + kept * frequency;
}

/** 0 where a pair turns often enough to be kept as it is, 1 where it is divided by the factor. */
function yarnRamp(rope: YarnParameters, head_dim: number, pair: number): number {
  const pairOf = (rotations: number): number =>
    (head_dim * Math.log(rope.original_max_position_embeddings / (rotations * 2 * Math.PI))) / (2 * Math.log(rope.rope_theta));
  const { truncate } = rope;
  const low = Math.max(truncate ? Math.floor(pairOf(rope.beta_fast)) : pairOf(rope.beta_fast), 0);
  const high = Math.min(truncate ? Math.ceil(pairOf(rope.beta_slow)) : pairOf(rope.beta_slow), head_dim - 1);
  const span = high === low ? 0.001 : high - low;
  return Math.min(Math.max((pair - low) / span, 0), 1);
}

function attentionFactor({ attention_factor, factor, mscale, mscale_all_dim }: YarnParameters): number {
  if (attention_factor !== undefined) return attention_factor;
  const scale = (by: number): number => (factor <= 1 ? 1 : 0.1 * by * Math.log(factor) + 1);
  return mscale && mscale_all_dim ? scale(mscale) / scale(mscale_all_dim) : scale(1);
}
